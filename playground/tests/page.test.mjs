/** The playground in a real browser, against the server at `QUIPU_URL` with the demo's data. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import {
  answerText,
  ask,
  changeUntil,
  enterQuery,
  enterText,
  openBrowser,
  openPlayground,
  queryText,
  readConfig,
  ready,
  run,
  runExample,
  server,
  setBattery,
  someDevice,
  strip,
  waitForAnswer,
  waitForQuery,
} from './browser.mjs';

let config;
let browser;
const opened = [];

before(async () => {
  config = await readConfig();
  browser = await openBrowser();
});
after(() => browser?.close());
afterEach(async () => {
  for (const page of opened.splice(0)) {
    await page.evaluate(() => localStorage.clear());
    await page.close();
  }
});

async function open(options) {
  const playground = await openPlayground(browser.context, options);
  opened.push(playground.page);
  return playground;
}

const tokenOf = (name) => config.tenants.find((tenant) => tenant.name === name).token;
const pickTenant = async (page, name) => {
  await page.getByLabel('Tenant', { exact: true }).selectOption(name);
  await ready(page);
};
const isQuery = ({ query }) => !/^\s*(mutation|subscription)\b/m.test(query);

describe('the page', () => {
  test('comes with a policy that lets nothing in from outside', async () => {
    for (const path of ['/playground', '/playground/', '/playground/config.json']) {
      const response = await fetch(new URL(path, server));
      assert.equal(response.status, 200, path);
      assert.equal(response.headers.get('x-content-type-options'), 'nosniff', path);
      const policy = response.headers.get('content-security-policy') ?? '';
      for (const rule of ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "font-src 'self'", "frame-ancestors 'none'"]) {
        assert.ok(policy.split('; ').includes(rule), `${path}: ${rule} in ${policy}`);
      }
    }
  });

  test('loads, colours and completes with no error, no breach of policy, no request elsewhere', async () => {
    const { page, wrongs, requests } = await open();
    await page.getByRole('heading', { name: 'Quipu' }).waitFor();
    // Every panel once: each brings code and styles of its own.
    for (const panel of ['Documentation Explorer', 'Query builder', 'History', 'Examples']) {
      await page.getByRole('button', { name: `Show ${panel}` }).click();
    }
    await page.getByRole('button', { name: 'Open settings dialog' }).click();
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    // Completion needs the schema, the language worker and the suggestion list's icons.
    await enterQuery(page, '{ __');
    await page.keyboard.press('ControlOrMeta+Space');
    await page.locator('.suggest-widget').getByText('__schema').first().waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Prettify query' }).click();
    assert.deepEqual(wrongs, []);
    const elsewhere = requests.filter((url) => !/^(data|blob):/.test(url) && new URL(url).host !== server.host);
    assert.deepEqual(elsewhere, []);
    assert.ok(requests.length > 10, `${requests.length} requests were seen`);
  });

  test('passes over work that the editor gave up, and over nothing else', async () => {
    const { page, wrongs } = await open();
    const reject = (name) =>
      page.evaluate((given) => void Promise.reject(Object.assign(new Error(given), { name: given })), name);
    await reject('Canceled');
    await reject('Broken');
    for (let waited = 0; wrongs.length === 0 && waited < 30_000; waited += 50) await page.waitForTimeout(50);
    assert.deepEqual(wrongs, ['exception: Broken']);
  });

  test('shows the schema of the tenant', async () => {
    const { page } = await open();
    await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
    await page.locator('.graphiql-doc-explorer').getByText('Query', { exact: true }).click();
    await page.locator('.graphiql-doc-explorer').getByText('search', { exact: true }).first().waitFor();
  });
});

describe('examples', () => {
  test('every example of every tenant runs without an error', async () => {
    const { page, wrongs } = await open();
    for (const { name } of config.tenants) {
      await pickTenant(page, name);
      const examples = config.examples[name].filter(isQuery);
      assert.ok(examples.length > 0, `${name} has examples`);
      for (const example of examples) {
        const { operation, said, tone } = await runExample(page, example);
        assert.equal(tone, 'good', `${name}: ${example.title}: ${said}`);
        await page.locator('.graphiql-tab-active', { hasText: operation }).waitFor();
        await waitForAnswer(page, /"data": \{/);
      }
    }
    assert.deepEqual(wrongs, []);
  });

  test('an example opens in the empty or unchanged tab, and beside own work', async () => {
    const { page } = await open();
    const [{ name }] = config.tenants;
    const [first, second] = config.examples[name];
    await page.locator('.quipu-example', { hasText: second.title }).click();
    await page.locator('.graphiql-tab-active', { hasText: /\bquery (\w+)/.exec(second.query)[1] }).waitFor();
    assert.equal(await page.getByRole('tab').count(), 1);
    await enterQuery(page, '{ __typename }');
    await runExample(page, first);
    assert.equal(await page.getByRole('tab').count(), 2);
    await page.getByRole('tab').first().click();
    await waitForQuery(page, /^\s*\{ __typename \}\s*$/);
  });
});

describe('tenants and tokens', () => {
  test('switching the tenant switches schema, examples and answers, and leaves nothing behind', async () => {
    const { page } = await open();
    const [a, b] = config.tenants;
    await pickTenant(page, a.name);
    const example = config.examples[a.name].find(isQuery);
    await runExample(page, example);
    await waitForAnswer(page, /"data"/);
    await enterQuery(page, '{ __typename secretOfTheFirst: __typename }');

    await pickTenant(page, b.name);
    assert.doesNotMatch(await queryText(page), /secretOfTheFirst/);
    assert.doesNotMatch(await answerText(page), /"data"/);
    await page.getByRole('button', { name: `Run: ${config.examples[b.name][0].title}`, exact: true }).waitFor();
    await enterQuery(page, '{ __schema { queryType { fields { name } } } }');
    await run(page);
    await waitForAnswer(page, /"data"/);
    const direct = await ask(b.token, '{ __schema { queryType { fields { name } } } }');
    const [firstField] = direct.data.__schema.queryType.fields;
    assert.ok((await answerText(page)).includes(`"${firstField.name}"`));

    await pickTenant(page, a.name);
    await waitForQuery(page, /secretOfTheFirst/);
  });

  test('the token goes with the request, and stays out of localStorage', async () => {
    const { page } = await open();
    const { name, token } = config.tenants[1];
    await pickTenant(page, name);
    await page.getByRole('button', { name: 'Headers', exact: true }).click();
    await enterText(page, '.graphiql-editor-tool .graphiql-editor:not(.hidden)', '{ "X-Secret": "hush-hush" }');
    const sent = page.waitForRequest((request) => request.postData()?.includes('tokenProbe') ?? false);
    await enterQuery(page, '{ tokenProbe: __typename }');
    await run(page);
    const headers = await (await sent).allHeaders();
    assert.equal(headers.authorization, `Bearer ${token}`);
    assert.equal(headers['x-secret'], 'hush-hush');
    assert.equal(headers.cookie, undefined);
    await waitForAnswer(page, /tokenProbe/);
    const stored = await page.evaluate(() => JSON.stringify({ ...localStorage }));
    assert.match(stored, /tokenProbe/);
    assert.doesNotMatch(stored, /hush-hush/);
    assert.ok(!stored.includes(token), 'no token in localStorage');
    await page.reload();
    await ready(page);
    assert.equal(await page.getByLabel('Tenant', { exact: true }).inputValue(), name);
    await waitForQuery(page, /tokenProbe/);
  });

  test('a token of one’s own is used, and a pasted "Bearer" is forgiven', async () => {
    const { page } = await open();
    const { name, token } = config.tenants[1];
    await page.getByLabel('Token', { exact: true }).fill(`Bearer ${token} `);
    await page.keyboard.press('Enter');
    await ready(page);
    assert.equal(await page.getByLabel('Tenant', { exact: true }).inputValue(), '');
    const { said } = await runExample(page, config.examples[name].find(isQuery));
    assert.match(said, /200 OK/);
    await page.reload();
    await ready(page);
    assert.equal(await page.getByLabel('Token', { exact: true }).inputValue(), token, 'kept over a reload');
    const other = await open();
    assert.equal(await other.page.getByLabel('Tenant', { exact: true }).inputValue(), config.tenants[0].name, 'not in another tab');
  });
});

describe('errors', () => {
  test('a query that the schema refuses: message and place, and a click goes there', async () => {
    const { page, wrongs } = await open();
    await enterQuery(page, '{\n  __typename\n  nobodyHasThisField\n}');
    await run(page);
    const errors = strip(page).getByRole('list', { name: 'Errors' });
    await errors.getByText(/nobodyHasThisField/).waitFor();
    assert.equal(await strip(page).getAttribute('data-tone'), 'bad');
    await waitForAnswer(page, /"errors"/);
    await errors.getByRole('button', { name: 'line 3:3' }).click();
    await page.keyboard.insertText('# ');
    await waitForQuery(page, /# nobodyHasThisField/);
    assert.deepEqual(wrongs.filter((wrong) => !/status of 4\d\d/.test(wrong)), []);
  });

  test('an error with a path beside data', async () => {
    const { page } = await open();
    await page.route('**/graphql', (route) =>
      route.fulfill({
        json: {
          data: { search: [{ node: null }] },
          errors: [{ message: 'the graph is away', path: ['search', 0, 'node'], extensions: { code: 'STORE_UNAVAILABLE' } }],
        },
      }),
    );
    await enterQuery(page, '{ __typename }');
    await run(page);
    const errors = strip(page).getByRole('list', { name: 'Errors' });
    await errors.getByText('the graph is away').waitFor();
    await errors.getByText('search › 0 › node').waitFor();
    await errors.getByText('STORE_UNAVAILABLE').waitFor();
    assert.match(await answerText(page), /"search"/);
  });

  test('a wrong token: the status, what the server says, and what to do', async () => {
    const { page } = await open();
    await page.getByLabel('Token', { exact: true }).fill('not.a.token');
    await page.keyboard.press('Enter');
    await strip(page).getByText('The schema could not be read').waitFor();
    await strip(page).getByText(/did not accept this token/).waitFor();
    await enterQuery(page, '{ __typename }');
    await run(page);
    await strip(page).getByText('401 Not authenticated').waitFor();
    assert.equal(await strip(page).getAttribute('data-tone'), 'bad');
    assert.ok((await strip(page).getByRole('list', { name: 'Errors' }).getByRole('listitem').count()) > 0);
    // The way back is the menu.
    await pickTenant(page, config.tenants[0].name);
    const { said } = await runExample(page, config.examples[config.tenants[0].name].find(isQuery));
    assert.match(said, /200 OK/);
  });

  test('the network down, and up again', async () => {
    const { page } = await open();
    await page.route('**/graphql', (route) => route.abort('connectionrefused'));
    await enterQuery(page, '{ __typename }');
    await run(page);
    await strip(page).getByText('No answer', { exact: true }).waitFor();
    await strip(page).getByText(/Is the server running/).waitFor();
    await waitForAnswer(page, /no answer from/);
    await page.unroute('**/graphql');
    await run(page);
    await strip(page).getByText('200 OK').waitFor();
  });

  test('a page of a proxy instead of an answer', async () => {
    const { page } = await open();
    await page.route('**/graphql', (route) => route.fulfill({ status: 502, contentType: 'text/html', body: '<h1>Bad Gateway</h1>' }));
    await enterQuery(page, '{ __typename }');
    await run(page);
    await strip(page).getByText('502 Bad gateway', { exact: true }).waitFor();
    await strip(page).getByText(/not a GraphQL answer/).waitFor();
  });

  test('no server at the start: a sentence and a way to try again', async () => {
    const page = await browser.context.newPage();
    opened.push(page);
    await page.route('**/config.json', (route) => route.abort());
    await page.goto(new URL('/playground', server).href);
    await page.getByRole('alert').getByText('The server did not answer.').waitFor();
    await page.unroute('**/config.json');
    await page.getByRole('button', { name: 'Try again' }).click();
    await ready(page);
  });
});

describe('subscriptions', () => {
  test('show events as they come, and stop', async () => {
    const { page, wrongs, requests } = await open();
    await pickTenant(page, 'cryox');
    await enterQuery(page, 'subscription { changes { seq operation type id } }');
    await run(page);
    await strip(page).getByText('Live', { exact: true }).waitFor();
    const events = strip(page).getByRole('list', { name: 'Events' }).getByRole('listitem');
    await changeUntil(tokenOf('cryox'), async (id) => (await events.filter({ hasText: id }).count()) > 0);
    await waitForAnswer(page, /"Device"/);
    assert.match(await answerText(page), /"changes": \{/);
    await page.getByRole('button', { name: 'Stop query' }).click();
    await strip(page).getByText('Ended').waitFor();
    const before = await events.count();
    await setBattery(tokenOf('cryox'), await someDevice(tokenOf('cryox')));
    await page.waitForTimeout(700); // long enough for an event that should not come
    assert.equal(await events.count(), before, 'nothing comes after the stop');
    assert.ok(requests.some((url) => url === `ws://${server.host}/graphql`), 'the socket is at the same origin');
    assert.deepEqual(wrongs, []);
  });

  test('end when the tenant changes', async () => {
    const { page } = await open();
    await pickTenant(page, 'cryox');
    await enterQuery(page, 'subscription { changes { seq id } }');
    const [socket] = await Promise.all([page.waitForEvent('websocket'), run(page)]);
    const events = strip(page).getByRole('list', { name: 'Events' }).getByRole('listitem');
    await changeUntil(tokenOf('cryox'), async () => (await events.count()) > 0);
    assert.equal(socket.isClosed(), false);
    const closed = socket.waitForEvent('close');
    await pickTenant(page, 'library');
    await closed;
    await page.locator('.quipu-outcome').getByText(/runs the query/).waitFor();
  });

  test('a wrong token is refused with a reason', async () => {
    const { page } = await open();
    await page.getByLabel('Token', { exact: true }).fill('not.a.token');
    await page.keyboard.press('Enter');
    await enterQuery(page, 'subscription { changes { seq } }');
    await run(page);
    await strip(page).getByText('Ended with an error').waitFor();
    assert.ok((await strip(page).getByRole('list', { name: 'Errors' }).getByRole('listitem').count()) > 0);
  });
});

describe('dark and light', () => {
  const lightness = (page, selector) =>
    page.locator(selector).first().evaluate((element) => {
      const [r, g, b] = getComputedStyle(element).backgroundColor.match(/[\d.]+/g).map(Number);
      return (r + g + b) / 3;
    });

  test('follows the system, can be chosen, and is remembered', async () => {
    const { page } = await open();
    const theme = page.getByRole('button', { name: /^Theme:/ });
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.locator('body.graphiql-dark').waitFor();
    for (const place of ['.quipu-bar', '.graphiql-editors']) assert.ok((await lightness(page, place)) < 80, `${place} is dark`);
    await theme.click();
    await page.locator('body.graphiql-light').waitFor();
    for (const place of ['.quipu-bar', '.graphiql-editors']) assert.ok((await lightness(page, place)) > 200, `${place} is light`);
    await theme.click();
    await page.locator('body.graphiql-dark').waitFor();
    await page.emulateMedia({ colorScheme: 'light' });
    await page.reload();
    await ready(page);
    await page.locator('body.graphiql-dark').waitFor();
    assert.equal(await theme.getAttribute('aria-label'), 'Theme: dark');
    await page.locator('.monaco-editor.vs-dark').first().waitFor();
  });
});
