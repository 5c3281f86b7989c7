//! Every setting: its section, key, type, default and what it means. The reference, the names of environment variables and the
//! check for unknown keys are all made from this list.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use quipu_resolvers as engine;
use quipu_resolvers::guard::TenantId;

use super::audit::{AuditKinds, AuditVariables};
use super::form::{
    ByteSize, CacheUrl, ClientCertificate, DocumentMode, GraphUrl, LogFormat, MetadataUrl, Mode, SameSite, Secret,
    Setting, Tenancy, VectorsUrl,
};
use super::origins::Origins;
use super::tables::OpenTables;
use super::{Issuer, OwnPlan, Quota, TenantGraph};

/// Names a setting and says what it means.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// Table of the file.
    pub section: &'static str,
    /// Key in that table.
    pub name: &'static str,
    /// What it means, a line each.
    pub doc: &'static [&'static str],
}

/// Defines the sections, and `Config` which holds them and can visit every setting in order.
macro_rules! sections {
    ($($(#[doc = $about:literal])+ $section:ident: $type:ident {
        $($(#[doc = $doc:literal])+ $key:ident: $form:ty = $default:expr;)+
    })+) => {
        /// Everything that can be set, with safe defaults.
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct Config {
            $($(#[doc = $about])+ pub $section: $type,)+
            /// Databases of single tenants, beside that of `graph`.
            pub graph_tenants: BTreeMap<TenantId, TenantGraph>,
            /// Identity providers whose tokens are taken, by the names of their sections.
            pub auth_issuers: BTreeMap<String, Issuer>,
            /// What single tenants may use, where it is not what `tenants` says; see [`Config::plan`].
            pub own_plans: BTreeMap<TenantId, OwnPlan>,
        }

        $(
            $(#[doc = $about])+
            #[derive(Debug, Clone, PartialEq)]
            pub struct $type {
                $($(#[doc = $doc])+ pub $key: $form,)+
            }

            impl Default for $type {
                fn default() -> Self {
                    Self { $($key: $default,)+ }
                }
            }
        )+

        /// What each section is for.
        pub(super) const SECTIONS: &[(&str, &[&str])] = &[$((stringify!($section), &[$($about),+]),)+];

        impl Config {
            /// Hands out every setting in the order of the list.
            pub(super) fn visit(&mut self, visitor: &mut dyn FnMut(Key, &mut dyn Setting)) {
                $($(
                    visitor(
                        Key { section: stringify!($section), name: stringify!($key), doc: &[$($doc),+] },
                        &mut self.$section.$key,
                    );
                )+)+
            }
        }
    };
}

const fn count(number: usize) -> NonZeroUsize {
    match NonZeroUsize::new(number) {
        Some(number) => number,
        None => NonZeroUsize::MIN,
    }
}

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// The engine's own defaults, so that they are written once.
fn limits() -> engine::Limits {
    engine::Limits::default()
}

sections! {
    /// The HTTP server.
    server: Server {
        /// Address and port to listen on.
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
        /// Who uses it: in "production" introspection, suggestions and the playground are off.
        mode: Mode = Mode::Development;
        /// Connections at once; further ones wait to be accepted.
        max_connections: NonZeroUsize = count(1024);
        /// Requests that are worked on at once.
        max_concurrency: NonZeroUsize = count(256);
        /// Operations of one tenant that are worked on at once while another tenant asks as well, so that a flood leaves others their pace; when not
        /// set, as many as there are processors. More of them suits stores that are far away.
        tenant_share: Option<NonZeroUsize> = None;
        /// Requests that may wait for a place; further ones are refused with OVERLOADED.
        queue: usize = 256;
        /// Longest time for a request, its body and its wait included.
        request_timeout: Duration = seconds(30);
        /// Longest time for the headers of a request; also how long an idle connection is kept.
        header_timeout: Duration = seconds(10);
        /// How long a client may fail to read what it is sent.
        stall_timeout: Duration = seconds(30);
        /// Longest body of a request and longest message of a WebSocket.
        body_bytes: ByteSize = ByteSize(1 << 20);
        /// Most operations in one batch.
        batch: NonZeroUsize = count(10);
        /// How long requests may go on after a stop was asked for.
        drain: Duration = seconds(10);
        /// Proxies of your own that stand before it: the address of a client is what the outermost of them wrote into `X-Forwarded-For`.
        proxies: usize = 0;
        /// Origins whose pages may ask and read answers, with cookies, like "https://app.example" (CORS).
        cors_origins: Origins = Origins::default();
        /// How often files of secrets and certificates are looked at; SIGHUP has them looked at now.
        reload: Duration = seconds(5);
    }

    /// TLS of the HTTP server. Without a certificate it speaks plain HTTP.
    tls: Tls {
        /// A file with the server's certificate in PEM form, and after it those of the authorities between.
        certificate: Option<PathBuf> = None;
        /// A file with the private key of that certificate, in PEM form.
        key: Option<PathBuf> = None;
        /// A file with the certificates of whoever vouches for clients; with it, clients show a certificate of their own.
        client_authority: Option<PathBuf> = None;
        /// Whether a client may come without: "required" or "optional". One that is shown has to be good in either case.
        client_certificate: ClientCertificate = ClientCertificate::Required;
        /// Whether a proxy in front of the server does TLS, and nobody reaches the server around it.
        by_proxy: bool = false;
        /// How long browsers are to remember that they come over TLS alone (Strict-Transport-Security), where there is TLS, by a proxy too; "0s"
        /// tells them nothing.
        hsts: Duration = seconds(365 * 24 * 3600);
    }

    /// The embedded store.
    store: Store {
        /// The file; relative to this file's folder.
        path: PathBuf = "quipu.db".into();
    }

    /// Nodes and relationships.
    graph: Graph {
        /// Where they are: "embedded" is the store's file, or a URL like "neo4j://host:7687" (neo4j+s:// with TLS).
        url: GraphUrl = GraphUrl::Embedded;
        /// The user, if it is not part of the URL.
        user: String = "neo4j".into();
        /// The password, if it is not part of the URL.
        password: Option<Secret> = None;
        /// A file with that password, instead of `password`.
        password_file: Option<PathBuf> = None;
        /// The database; when not set, the server's default.
        database: Option<String> = None;
        /// What the names of tenants begin with in the database, so that several deployments can share it.
        prefix: Option<String> = None;
        /// How tenants are told apart: "property" marks every node and relationship, "database" serves one tenant's database as it stands.
        tenancy: Tenancy = Tenancy::Property;
        /// Most connections to a server.
        connections: NonZeroUsize = count(32);
        /// Longest wait for a connection before a request is refused with OVERLOADED.
        wait: Duration = seconds(2);
        /// Under load, reads of a tenant that differ in their values alone are asked together, as one statement.
        gather: bool = true;
    }

    /// Rows, keys, the log of changes and published ontologies.
    metadata: Metadata {
        /// Where they are: "embedded" is the store's file, or a URL like "postgres://user@host:5432/database" of a role that owns nothing.
        url: MetadataUrl = MetadataUrl::Embedded;
        /// The password, if it is not part of the URL.
        password: Option<Secret> = None;
        /// A file with that password, instead of `password`.
        password_file: Option<PathBuf> = None;
        /// The same database as the role that owns the tables: with it, `migrate` and every start bring them up to date.
        owner_url: Option<Secret> = None;
        /// The owner's password, if it is not part of that URL.
        owner_password: Option<Secret> = None;
        /// A file with that password, instead of `owner_password`.
        owner_password_file: Option<PathBuf> = None;
        /// A file with the certificates of whoever vouches for the server: TLS is demanded then, and the server has to be the one of the URL
        /// (sslmode=verify-full), unless the URL says otherwise.
        root_certificate: Option<PathBuf> = None;
        /// The schema that holds all tables.
        schema: String = "quipu".into();
        /// Tables of others in that database that ontologies may show, each with what keeps tenants apart: "SCHEMA.TABLE by COLUMN" that holds
        /// the tenant's name, "SCHEMA.TABLE by row security", or "SCHEMA.TABLE for TENANT" alone; TABLE may be *. They are read, and with
        /// ", writable" behind it written as well.
        tables: OpenTables = OpenTables::default();
        /// Most connections to a server.
        connections: NonZeroUsize = count(16);
        /// Longest wait for a connection before a request is refused with OVERLOADED.
        wait: Duration = seconds(2);
    }

    /// Vectors of embedded texts.
    vectors: Vectors {
        /// Where they are: "embedded" is the store's file, or a URL like "qdrant://host:6334" (qdrants:// with TLS) with the port of gRPC.
        url: VectorsUrl = VectorsUrl::Embedded;
        /// The API key, if it is not part of the URL, like "qdrant://key@host:6334".
        key: Option<Secret> = None;
        /// A file with that key, instead of `key`.
        key_file: Option<PathBuf> = None;
        /// What names of collections begin with; the same in all instances of one deployment.
        prefix: String = "quipu".into();
        /// Connections to a server, each for many requests at once.
        connections: NonZeroUsize = count(2);
        /// Longest wait for a place among the requests under way before a request is refused with OVERLOADED.
        wait: Duration = seconds(2);
    }

    /// What was found once and is kept for a while, and word of changes from instance to instance. Nothing depends on it.
    cache: Cache {
        /// Where it is: "embedded" is this process, which then looks into the logs by itself, or a URL like "redis://host:6379".
        url: CacheUrl = CacheUrl::Embedded;
        /// The password, if it is not part of the URL.
        password: Option<Secret> = None;
        /// A file with that password, instead of `password`.
        password_file: Option<PathBuf> = None;
        /// What names on the server begin with; the same in all instances of one deployment.
        prefix: String = "quipu".into();
        /// Room for what an "embedded" cache keeps, all tenants together; 0 keeps nothing.
        bytes: ByteSize = ByteSize(64 << 20);
        /// Largest result that is kept, in either.
        value_bytes: ByteSize = ByteSize(1 << 20);
    }

    /// The model that turns text into vectors.
    embedding: Embedding {
        /// Folder with model_quantized.onnx or model.onnx, and tokenizer.json; relative to this file's folder.
        model: PathBuf = "models/all-MiniLM-L6-v2".into();
        /// The ONNX Runtime library; when not set, the one that ORT_DYLIB_PATH names.
        dylib: Option<PathBuf> = None;
        /// Threads for one batch; when not set, as many as there are cores.
        threads: Option<NonZeroUsize> = None;
    }

    /// Tokens: JSON Web Tokens, signed with HS256 by a key of our own. Those of identity providers have sections of their own. And API keys,
    /// which are kept in the store.
    auth: Auth {
        /// Key that signs tokens, at least 32 bytes. Needed to serve, unless all tokens are of identity providers; there is no default.
        secret: Option<Secret> = None;
        /// A file with that key, instead of `secret`. Of several lines, each is a key: all are taken, and the first one signs.
        secret_file: Option<PathBuf> = None;
        /// Required value of the claim `aud`; not checked when not set.
        audience: Option<String> = None;
        /// Required value of the claim `iss`; not checked when not set.
        issuer: Option<String> = None;
        /// How far clocks may differ when `exp` and `nbf` are checked.
        leeway: Duration = seconds(30);
        /// How long it is believed what the store says of an API key or a session, before it is looked up again: one that is ended opens nothing more
        /// after this time, and its streams end.
        recheck: Duration = seconds(5);
        /// Claim that names the tenant.
        tenant_claim: String = "tenant".into();
        /// Claim that lists the roles.
        roles_claim: String = "roles".into();
    }

    /// Passwords of local users, hashed with Argon2id; the defaults are those that OWASP recommends.
    passwords: Passwords {
        /// Memory for one hash.
        memory: ByteSize = ByteSize(19 << 20);
        /// Passes over that memory.
        iterations: u32 = 2;
        /// Lanes of one hash.
        lanes: u32 = 1;
        /// Hashes at the same time; further ones wait.
        at_once: NonZeroUsize = count(2);
        /// Characters of a new password at least.
        shortest: usize = 12;
        /// Tries to sign in to one account within the window, right ones among them; then 429.
        account_tries: u64 = 10;
        /// Tries to sign in from one address, or one network of IPv6, within the window.
        address_tries: u64 = 100;
        /// How long tries are counted together.
        window: Duration = seconds(15 * 60);
    }

    /// Sessions of browsers: cookies instead of a token.
    sessions: Sessions {
        /// How long a session may be asked with before it has to be refreshed.
        access: Duration = seconds(10 * 60);
        /// How long a session goes on that is not refreshed.
        refresh: Duration = seconds(8 * 60 * 60);
        /// When a session ends, however often it is refreshed.
        length: Duration = seconds(24 * 60 * 60);
        /// How long what a refresh replaced is no sign of theft, because two windows of a browser refreshed at once.
        grace: Duration = seconds(10);
        /// Sessions of one subject at once; with one more the oldest ends.
        per_subject: NonZeroUsize = count(20);
        /// Which requests browsers send the cookies with: "strict" and "lax" need pages of the same site, "none" is for others.
        same_site: SameSite = SameSite::Strict;
        /// Whether cookies are taken over plain HTTP, for development. Whoever is in between could then take them.
        insecure_http: bool = false;
    }

    /// Signatures of cursors.
    cursor: Cursor {
        /// Key that signs cursors, at least 32 bytes, the same in all instances; when not set, one derived from auth.secret.
        secret: Option<Secret> = None;
        /// A file with that key, instead of `secret`.
        secret_file: Option<PathBuf> = None;
    }

    /// The trail of who did what, kept beside the log of changes, each record chained to the one before it.
    audit: Audit {
        /// What is kept: "reads", "writes", "subscriptions", "refusals", "administration".
        record: AuditKinds = AuditKinds::default();
        /// What is kept of an operation's variables: "none", their "names", or their "values" too.
        variables: AuditVariables = AuditVariables::Names;
        /// How long records are kept, like "8760h"; for ever when not set.
        keep: Option<Duration> = None;
    }

    /// Limits of a request; each is checked before the work that it bounds.
    limits: Limits {
        /// Length of a document.
        document_bytes: ByteSize = ByteSize(limits().document_bytes);
        /// Brackets inside brackets in a document.
        nesting: usize = limits().nesting;
        /// Brackets inside brackets in the JSON of a request.
        json_nesting: usize = 64;
        /// Tokens of a document.
        tokens: usize = limits().tokens;
        /// Fields inside fields, fragments followed.
        depth: usize = limits().depth;
        /// Fields in an operation, fragments followed.
        fields: usize = limits().fields;
        /// Fields at the root of an operation.
        root_fields: usize = limits().root_fields;
        /// Directives in one place.
        directives: usize = limits().directives;
        /// Variables of an operation.
        variables: usize = limits().variables;
        /// Operations of a document.
        operations: usize = limits().operations;
        /// Price of an operation: the records that it may touch.
        price: u64 = limits().price;
        /// Records of one page, where the ontology says nothing.
        page: u32 = limits().page;
        /// Records of one page, where neither query nor ontology name a number.
        default_page: u32 = limits().default_page;
        /// Records that a filter across stores may match.
        filter_keys: u32 = limits().filter_keys;
        /// Operations of one change.
        change_ops: usize = limits().change_ops;
        /// Errors in one response.
        errors: usize = limits().errors;
        /// Validated documents that are kept for a tenant.
        cached_documents: usize = limits().cached_documents;
        /// Length of them, all documents of a tenant together.
        cached_document_bytes: ByteSize = ByteSize(limits().cached_document_bytes);
        /// Documents that may be published for a tenant.
        trusted_documents: usize = 10_000;
        /// Length of them, all documents of a tenant together.
        trusted_bytes: ByteSize = ByteSize(16 << 20);
        /// How long a request waits until what was written up to its position can be read; then STALE.
        position_wait: Duration = limits().position_wait;
    }

    /// What each tenant may use. Counted over all instances that share a `cache.url`.
    tenants: Plan {
        /// Operations of a tenant that are worked on at once; further ones wait, and tenants are served in turn.
        concurrency: NonZeroUsize = count(64);
        /// Operations of a tenant in an hour; further ones are refused with RATE_LIMITED.
        requests_per_hour: Quota = Quota::Unlimited;
        /// Price of all operations of a tenant in a minute; what is beyond it is refused with RATE_LIMITED.
        price_per_minute: Quota = Quota::Unlimited;
        /// Which documents are let through: "open" for all, "known-only" for those that are published for the tenant (`quipu documents`),
        /// "known-first" for all, of which those that are not published may cost `unknown_price` and wait behind those that are.
        documents: DocumentMode = DocumentMode::Open;
        /// Price of an operation whose document is not published, where `documents` is "known-first".
        unknown_price: u64 = 10_000;
    }

    /// Subscriptions over WebSocket and server-sent events.
    live: Live {
        /// Operations of one WebSocket at once.
        per_connection: usize = 100;
        /// Subscriptions of one tenant at once.
        per_tenant: usize = 1_000;
        /// How long a stream may be silent before a sign of life is sent.
        keep_alive: Duration = seconds(15);
        /// How long a WebSocket may take to send connection_init.
        init_timeout: Duration = seconds(5);
        /// Bytes that wait for a slow consumer, for each WebSocket or event stream.
        buffer: ByteSize = ByteSize(1 << 20);
        /// How long a stream waits when that is full; then it ends with an error that says so.
        patience: Duration = seconds(5);
    }

    /// The analysts' page at /playground.
    playground: Playground {
        /// Whether it is served; when not set, in development only.
        enabled: Option<bool> = None;
        /// A file with tokens that the page offers in a menu; for demos only.
        demo_tokens: Option<PathBuf> = None;
    }

    /// The admin API at /admin/v1: tenants, ontologies, keys, plans and the audit trail, for the programs of whoever runs the gateway.
    admin: Admin {
        /// Whether it is served.
        enabled: bool = false;
        /// An address and port of its own to listen on; when not set, it is served where everything else is.
        listen: Option<SocketAddr> = None;
        /// The tenant whose callers may administer all tenants, when they have the role "operator"; when not set, nobody may. Callers
        /// with the role "tenant-admin" administer their own tenant in any case.
        operators: Option<TenantId> = None;
    }

    /// The log, written to standard error.
    logs: Logs {
        /// "text" for people, "json" for machines.
        format: LogFormat = LogFormat::Text;
        /// What is logged: "error", "warn", "info", "debug", "trace", or by module like "info,quipu::http=debug".
        level: String = "info".into();
    }
}

impl Limits {
    /// The limits that the engine keeps; `json_nesting` is the HTTP layer's, and `trusted_documents` that of whoever publishes.
    pub fn engine(&self) -> engine::Limits {
        engine::Limits {
            document_bytes: self.document_bytes.0,
            nesting: self.nesting,
            tokens: self.tokens,
            depth: self.depth,
            fields: self.fields,
            root_fields: self.root_fields,
            directives: self.directives,
            variables: self.variables,
            operations: self.operations,
            price: self.price,
            page: self.page,
            default_page: self.default_page,
            filter_keys: self.filter_keys,
            change_ops: self.change_ops,
            errors: self.errors,
            cached_documents: self.cached_documents,
            cached_document_bytes: self.cached_document_bytes.0,
            position_wait: self.position_wait,
        }
    }
}
