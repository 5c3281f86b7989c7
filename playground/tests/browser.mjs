/** Starts Debian's Chromium with an empty profile and opens the playground in it. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

/** The running server, from `QUIPU_URL`. */
export const server = new URL(process.env.QUIPU_URL ?? 'http://127.0.0.1:8080');

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** The page's configuration, asked for as the page asks. */
export async function readConfig() {
  const response = await fetch(new URL('/playground/config.json', server));
  assert.equal(response.status, 200, 'config.json is served');
  return response.json();
}

/** Sends one GraphQL request as a tenant; gives the decoded answer. */
export async function ask(token, query, variables) {
  const response = await fetch(new URL('/graphql', server), {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  return response.json();
}

/** A device of the demo's cold chain, and a battery level it does not have now. */
export async function someDevice(token) {
  const answer = await ask(token, '{ devices(limit: 1) { id battery } }');
  assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
  const [device] = answer.data.devices;
  return { id: device.id, battery: device.battery === 51 ? 52 : 51 };
}

/** Sets the battery of a device: the change that subscriptions are waiting for. */
export async function setBattery(token, { id, battery }) {
  const answer = await ask(
    token,
    'mutation ($id: ID!, $battery: Int!) { updateDevices(where: { id: { eq: $id } }, update: { battery: { set: $battery } }) { devices { id battery } } }',
    { id, battery },
  );
  assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
  assert.deepEqual(answer.data, { updateDevices: { devices: [{ id, battery }] } });
}

/** A browser with a fresh profile; `close()` ends it and removes the profile. */
export async function openBrowser(options = {}) {
  const profile = await mkdtemp(join(tmpdir(), 'quipu-browser-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.QUIPU_CHROMIUM ?? '/usr/bin/chromium',
    args: FLAGS,
    chromiumSandbox: false,
    viewport: { width: 1440, height: 900 },
    ...options,
  });
  context.setDefaultTimeout(30_000);
  return {
    context,
    close: async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

/**
 * Opens the playground in a new page that writes down what must not happen: errors on the console, exceptions, breaches of the
 * Content-Security-Policy, requests to other origins.
 */
export async function openPlayground(context, { expectReady = true } = {}) {
  const page = await context.newPage();
  const wrongs = [];
  const requests = [];
  page.on('console', (message) => message.type() === 'error' && wrongs.push(`console: ${message.text()}`));
  page.on('pageerror', (error) => wrongs.push(`exception: ${error.message}`));
  page.on('websocket', (socket) => requests.push(socket.url()));
  const noteRequest = (request) => requests.push(request.url());
  context.on('request', noteRequest);
  page.on('close', () => context.off('request', noteRequest));
  await page.exposeFunction('noteBreach', (breach) => wrongs.push(`policy: ${breach}`));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      window.noteBreach(`${event.effectiveDirective} blocked ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`);
    });
  });
  await page.goto(new URL('/playground', server).href);
  if (expectReady) await ready(page);
  return { page, wrongs, requests };
}

/** Waits until the editors stand and the schema is known: only then do the documentation's root types appear. */
export async function ready(page) {
  await page.locator('.graphiql-query-editor .view-lines').waitFor();
  await page.locator('.graphiql-response .monaco-editor').waitFor();
  await page.locator('.graphiql-sidebar .graphiql-spin').waitFor({ state: 'detached' });
}

/** What the answer pane holds. The editor draws only the lines in view, so this is their text. */
export async function answerText(page) {
  const text = await page.locator('.graphiql-response .view-lines').innerText();
  return text.replaceAll('\u00a0', ' ');
}

/** Waits until the answer pane shows something that matches. */
export const waitForAnswer = (page, pattern) => waitForText(page, answerText, pattern);

/** Waits until the query editor shows something that matches. */
export const waitForQuery = (page, pattern) => waitForText(page, queryText, pattern);

async function waitForText(page, read, pattern) {
  let shown;
  for (let waited = 0; waited < 30_000; waited += 50) {
    shown = await read(page);
    if (pattern.test(shown)) return;
    await page.waitForTimeout(50);
  }
  assert.match(shown, pattern);
}

/** What the query editor shows. */
export async function queryText(page) {
  const text = await page.locator('.graphiql-query-editor .view-lines').innerText();
  return text.replaceAll('\u00a0', ' ');
}

/** Replaces the text of the query editor: select all, paste. Typing would bring the editor's own brackets and indents. */
export async function enterQuery(page, query) {
  await enterText(page, '.graphiql-query-editor', query);
  // The editor's text becomes the tab's after a pause in typing, and is stored after another.
  await stored(page, query);
}

/** Waits until GraphiQL has written `text` into the browser's storage, as part of a tab or of the history. */
export async function stored(page, text) {
  const written = JSON.stringify(text).slice(1, -1);
  await page.waitForFunction((part) => Object.values(localStorage).some((value) => value.includes(part)), written);
}

/**
 * Sets a device's battery to another value, again and again until `arrived(device)`: a subscription that has been sent may not be
 * listening yet, and misses what comes before.
 */
export async function changeUntil(token, arrived) {
  const { id } = await someDevice(token);
  for (let change = 0; change < 60; change += 1) {
    await setBattery(token, { id, battery: 50 + (change % 2) });
    for (let waited = 0; waited < 1_000; waited += 50) {
      if (await arrived(id)) return id;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  assert.fail(`no event of ${id} came`);
}

/** Runs an example by its button; gives back what the strip says of this very run, once it is over. */
export async function runExample(page, { title, query }) {
  const operation = /\b(?:query|mutation)\s+(\w+)/.exec(query)[1];
  const [response] = await Promise.all([
    page.waitForResponse((one) => JSON.parse(one.request().postData() ?? '{}').operationName === operation),
    page.getByRole('button', { name: `Run: ${title}`, exact: true }).click(),
  ]);
  const request = response.headers()['x-request-id'];
  await strip(page).getByText(`request ${request}`, { exact: true }).waitFor();
  return { operation, said: await strip(page).innerText(), tone: await strip(page).getAttribute('data-tone') };
}

/** Replaces the text of the editor inside `place`. */
export async function enterText(page, place, text) {
  await page.locator(`${place} .view-lines`).click();
  await page.keyboard.press('ControlOrMeta+A');
  await page.locator(`${place} textarea.inputarea`).evaluate((area, pasted) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData('text/plain', pasted);
    area.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
  }, text);
}

/** Presses the run button. */
export const run = (page) => page.getByRole('button', { name: /^Execute query/ }).click();

/** The strip under the answer. */
export const strip = (page) => page.locator('.quipu-outcome');
