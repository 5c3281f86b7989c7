/**
 * Takes the picture of the page for the README:
 *
 *     QUIPU_URL=http://127.0.0.1:8080 node tests/screenshot.mjs OUT.png [tenant] [light|dark] [example's number, from 1]
 */
import { openBrowser, openPlayground, readConfig, strip } from './browser.mjs';

const [out, tenant = 'library', colorScheme = 'light', number = '1'] = process.argv.slice(2);
if (!out) {
  console.error('usage: node tests/screenshot.mjs OUT.png [tenant] [light|dark] [example]');
  process.exit(2);
}
const { examples } = await readConfig();
const example = examples[tenant]?.[Number(number) - 1];
if (!example) throw new Error(`${tenant} has no example ${number}`);

const { context, close } = await openBrowser({ colorScheme });
try {
  const { page } = await openPlayground(context);
  await page.getByLabel('Tenant', { exact: true }).selectOption(tenant);
  await page.getByRole('button', { name: `Run: ${example.title}`, exact: true }).click();
  await strip(page).locator('.summary', { hasText: /OK|event|error|No answer/ }).waitFor();
  await page.mouse.move(720, 899);
  await page.waitForTimeout(1200); // the editors colour their text a moment later
  await page.screenshot({ path: out });
  console.log(`${out}: ${await strip(page).locator('.summary').innerText()}`);
} finally {
  await close();
}
