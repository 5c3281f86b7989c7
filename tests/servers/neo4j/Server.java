import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.neo4j.configuration.GraphDatabaseSettings;
import org.neo4j.configuration.connectors.BoltConnector;
import org.neo4j.configuration.helpers.SocketAddress;
import org.neo4j.dbms.api.DatabaseManagementServiceBuilder;
import org.neo4j.kernel.api.procedure.GlobalProcedures;
import org.neo4j.kernel.internal.GraphDatabaseAPI;
import org.neo4j.procedure.Name;
import org.neo4j.procedure.Procedure;
import org.neo4j.procedure.UserFunction;

/** A Neo4j Community server for tests: Server DIRECTORY PORT. The password of the user neo4j is in DIRECTORY/password. */
public class Server {
    public static void main(String[] arguments) throws Exception {
        var directory = Path.of(arguments[0]);
        var address = new SocketAddress("127.0.0.1", Integer.parseInt(arguments[1]));
        var service = new DatabaseManagementServiceBuilder(directory)
                .setConfig(BoltConnector.enabled, true)
                .setConfig(BoltConnector.listen_address, address)
                .setConfig(BoltConnector.advertised_address, address)
                .setConfig(GraphDatabaseSettings.auth_enabled, true)
                .setConfig(GraphDatabaseSettings.auth_lock_time, Duration.ZERO)
                .setConfig(GraphDatabaseSettings.pagecache_memory, 256L << 20)
                .build();
        var procedures = ((GraphDatabaseAPI) service.database("neo4j")).getDependencyResolver()
                .resolveDependency(GlobalProcedures.class);
        procedures.registerProcedure(Validate.class);
        procedures.registerFunction(Validate.class);
        Runtime.getRuntime().addShutdownHook(new Thread(service::shutdown));
        var password = Files.readString(directory.resolve("password")).strip();
        service.database("system").executeTransactionally(
                "ALTER USER neo4j SET PASSWORD $password CHANGE NOT REQUIRED", Map.of("password", password));
        // The first statements of a server take seconds: here nobody waits for them who waits for nothing else.
        for (var text : List.of(
                "CALL dbms.components() YIELD name, versions WHERE name = 'Neo4j Kernel' RETURN versions[0] AS version",
                "UNWIND [1, 2] AS id CREATE (:Warm {id: id}) WITH count(*) AS made MATCH (n:Warm) WHERE n.id > 0 DETACH DELETE n",
                "UNWIND range(1, 9) AS n RETURN COLLECT { UNWIND range(1, n) AS m RETURN [m, n] ORDER BY m LIMIT 3 } AS o")) {
            service.database("neo4j").executeTransactionally(text);
        }
        // Whoever waits for this file knows that the password holds.
        Files.writeString(directory.resolve("ready"), "");
        Thread.currentThread().join();
    }

    /**
     * Two procedures of APOC, by its documentation: they fail with a message where a condition holds. The Neo4j GraphQL Library, which
     * tests/peer compares with, says by them what a rule refuses. Quipu needs none.
     */
    public static class Validate {
        @Procedure("apoc.util.validate")
        public void validate(
                @Name("predicate") boolean refused, @Name("message") String message, @Name("params") List<Object> values) {
            check(refused, message, values);
        }

        @UserFunction("apoc.util.validatePredicate")
        public boolean predicate(
                @Name("predicate") boolean refused, @Name("message") String message, @Name("params") List<Object> values) {
            check(refused, message, values);
            return true;
        }

        private static void check(boolean refused, String message, List<Object> values) {
            if (refused) {
                throw new RuntimeException(values.isEmpty() ? message : String.format(message, values.toArray()));
            }
        }
    }
}
