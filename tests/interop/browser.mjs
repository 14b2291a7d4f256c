// Chromium, told what to do line by line: a JSON object a line on stdin, one a line on stdout.
// Every person has cookies of their own (a context), every tab is one of a person's.
//
//     node browser.mjs NODE_MODULES CHROMIUM HOST_RULES

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const [modules, executablePath, hosts] = process.argv.slice(2);
const { chromium } = createRequire(`${modules}/`)('playwright-core');

const PATIENCE = 20_000;

const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: [
    '--no-sandbox',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--no-proxy-server',
    `--host-resolver-rules=${hosts}`,
  ],
});
const people = new Map();
const tabs = new Map();

async function person(name) {
  if (!people.has(name)) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    context.setDefaultTimeout(PATIENCE);
    people.set(name, context);
  }
  return people.get(name);
}

// A tab, and every document that it was led through since it was last asked.
async function tab(who, name) {
  const key = `${who}/${name}`;
  if (!tabs.has(key)) {
    const page = await (await person(who)).newPage();
    const seen = [];
    page.on('response', (response) => {
      const request = response.request();
      if (request.isNavigationRequest() && request.frame() === page.mainFrame()) {
        seen.push({ url: response.url(), status: response.status() });
      }
    });
    tabs.set(key, { page, seen });
  }
  return tabs.get(key);
}

async function shown({ page, seen }) {
  await page.waitForLoadState('load');
  const hops = seen.splice(0);
  return {
    url: page.url(),
    status: hops.at(-1)?.status ?? 0,
    title: await page.title(),
    text: await page.locator('body').innerText(),
    hops,
  };
}

const actions = {
  async open({ who, tab: name, url }) {
    const one = await tab(who, name);
    await one.page.goto(url, { waitUntil: 'load', timeout: PATIENCE });
    return shown(one);
  },
  // A click that leads to another document.
  async click({ who, tab: name, selector }) {
    const one = await tab(who, name);
    const arrived = one.page.waitForEvent('framenavigated', { timeout: PATIENCE });
    await one.page.locator(selector).first().click();
    await arrived;
    await one.page.waitForLoadState('load');
    return shown(one);
  },
  async fill({ who, tab: name, selector, text }) {
    const one = await tab(who, name);
    await one.page.locator(selector).first().fill(text);
    return {};
  },
  // What a script of the page does; a promise is waited for.
  async run({ who, tab: name, script }) {
    const one = await tab(who, name);
    return { value: await one.page.evaluate(script) };
  },
  async state({ who, tab: name }) {
    return shown(await tab(who, name));
  },
  async cookies({ who }) {
    return { cookies: await (await person(who)).cookies() };
  },
  async forget({ who, pattern }) {
    await (await person(who)).clearCookies({ name: new RegExp(pattern) });
    return {};
  },
  async shot({ who, tab: name, file, width, dark }) {
    const { page } = await tab(who, name);
    await page.emulateMedia({ colorScheme: dark ? 'dark' : 'light' });
    await page.setViewportSize({ width, height: 800 });
    await page.screenshot({ path: file });
    // What sticks out to the right, and buttons that are too small for a thumb (px).
    const value = await page.evaluate(() => ({
      overflow: document.documentElement.scrollWidth - window.innerWidth,
      small: [...document.querySelectorAll('button, a')]
        .map((one) => ({ text: one.innerText, height: one.getBoundingClientRect().height }))
        .filter((one) => one.height > 0 && one.height < 44),
    }));
    return { value };
  },
  async leave({ who }) {
    await (await person(who)).close();
    people.delete(who);
    for (const key of [...tabs.keys()].filter((one) => one.startsWith(`${who}/`))) {
      tabs.delete(key);
    }
    return {};
  },
};

console.log(JSON.stringify({ version: browser.version() }));
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  try {
    console.log(JSON.stringify(await actions[asked.do](asked)));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error.message ?? error) }));
  }
}
await browser.close();
