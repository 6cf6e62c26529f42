/** Every state of the window: a picture, its sentence, its button, no violation, nothing covered. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { eachOf, open } from "./lib.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const SIZES = [
  [360, 740],
  [768, 1024],
  [1280, 800],
];

const tab = (index) => async (page) => {
  // Only narrow windows have tabs.
  const button = page.locator("nav button").nth(index);
  if ((await button.count()) > 0) await button.click();
};
/** The key that talks was pressed in another window: whoever did has read nothing here. */
const talkFromOutside = async (page) => {
  await page.evaluate(() => {
    document.hasFocus = () => false;
    window.__scripted.backend.tellApp({ type: "talk", pressed: true });
  });
  await dialog(page);
};
const dialog = (page) => page.getByRole("dialog").waitFor();
const person = async (page) => {
  await tab(1)(page);
  await page
    .getByRole("button", { name: /^Blue Fox/ })
    .first()
    .click();
  await dialog(page);
};
const settings = (section) => async (page) => {
  await page.getByRole("button", { name: "Settings" }).first().click();
  await dialog(page);
  await page.getByRole("dialog").getByRole("button", { name: section }).click();
};

/** `says`: what must be on the screen; `offers`: a button that must be there. */
export const STATES = [
  {
    name: "first-run",
    says: /You are Quiet Otter.*everything vanishes after 30 minutes/,
    offers: "Use my location",
  },
  { name: "denied", says: /can't see where you are/, offers: "Open settings" },
  {
    name: "unavailable",
    says: /can't tell where it is.*Install GeoClue/,
    offers: "Choose a place by hand",
  },
  { name: "too-coarse", says: /only to within 25\.4 km/, offers: "Choose a place by hand" },
  { name: "finding", says: /Finding where you are/, offers: "Choose a place by hand" },
  {
    name: "finding",
    as: "finding-long",
    run: 9_000,
    says: /Indoors can take longer/,
    offers: "Choose a place by hand",
  },
  { name: "quiet", says: /7 people within 500 m can read/ },
  { name: "lively", says: /Two seats left, hurry.*Patient Heron is typing/ },
  {
    name: "lively",
    as: "unread",
    act: async (page) => {
      await page.evaluate(() => {
        document.hasFocus = () => false;
        window.dispatchEvent(new Event("blur"));
      });
      await page.evaluate(() => {
        for (const said of ["The band starts at nine", "Bring a jumper, it gets cold"]) {
          window.__scripted.backend.hear(4, said);
        }
      });
      await page.getByText("Bring a jumper").last().waitFor();
    },
    says: /New messages.*The band starts at nine/,
  },
  { name: "alone", says: /Nobody within 500 m right now\. 4 people within 1 km/, offers: "Widen to 1 km" },
  { name: "alone-everywhere", says: /You are the first one here/, offers: "Invite" },
  { name: "offline", says: /No connection\. 2 messages wait and will be sent/, offers: "Retry now" },
  { name: "unreachable", says: /relay\.example\.org does not answer/, offers: "Change relay" },
  { name: "connecting", run: 2_000, says: /Connecting…/ },
  { name: "session-lost", says: /The relay restarted\. You are Brave Finch now/, offers: "OK" },
  {
    name: "renamed-out",
    says: /No name changes left in this session/,
    act: async (page) => {
      await page.locator("header button").nth(1).click();
      await dialog(page);
    },
  },
  { name: "rate-limited", says: /Will be sent in/ },
  { name: "failed", says: /it waited for too long/, offers: "Send again" },
  { name: "banned", says: /This relay has blocked you until/, offers: "Change relay" },
  { name: "taken-over", says: /in another window/, offers: "Use it here" },
  { name: "unsupported", says: /another version/, offers: "Change relay" },
  { name: "implausible", says: /does not take this place yet/, offers: "Choose a place by hand" },
  { name: "moved-out", says: /Blue Fox is out of range/ },
  { name: "room-full", says: /The room is full/ },
  { name: "while-muted", says: /You are muted: nobody hears you/, offers: "Unmute" },
  {
    name: "voice",
    as: "voice",
    act: tab(2),
    says: /choppy: their network loses 12%.*can't hear you: reconnecting through the relay/,
  },
  { name: "voice", as: "circle", act: tab(1), says: /Rings show distance\. Direction is hidden/ },
  { name: "voice-joining", act: tab(2), says: /Joining…/ },
  { name: "mic-none", act: tab(2), says: /No microphone: you can listen/, offers: "Choose a microphone" },
  { name: "mic-denied", act: tab(2), says: /off for this app: you can listen/, offers: "Open settings" },
  { name: "mic-refused", act: tab(2), says: /USB headset can't be opened/, offers: "Choose a microphone" },
  { name: "mic-lost", act: tab(2), says: /USB headset is gone/, offers: "Choose a microphone" },
  {
    name: "voice-new",
    says: /Talk asks for your microphone.*could see your IP address/,
    offers: "Hide my address, slightly slower",
  },
  { name: "voice-new", as: "voice-new-around", act: tab(1), says: /could see your IP address/ },
  {
    name: "voice-new",
    as: "voice-ask",
    act: talkFromOutside,
    says: /needs your microphone now.*could see your IP address/,
    offers: "Hide my address, slightly slower",
  },
  { name: "voice", as: "person", act: person, says: /0–50 m away.*Volume, for you alone/, offers: "Block" },
  {
    name: "voice",
    as: "report",
    act: async (page) => {
      await person(page);
      await page.getByRole("button", { name: "Report" }).click();
    },
    says: /What is wrong/,
    offers: "Send report",
  },
  { name: "lively", as: "settings", act: settings("General"), says: /Appearance/ },
  {
    name: "lively",
    as: "settings-voice",
    act: settings("Voice"),
    says: /Remove echo/,
    offers: "Test the microphone",
  },
  {
    name: "lively",
    as: "settings-notifications",
    act: settings("Notifications"),
    says: /When somebody mentions me/,
  },
  {
    name: "lively",
    as: "settings-relay",
    act: settings("Relay"),
    says: /Address of the relay/,
    offers: "Check",
  },
  {
    name: "lively",
    as: "settings-privacy",
    act: settings("Privacy"),
    says: /What the relay knows/,
    offers: "Erase everything",
  },
  {
    name: "denied",
    as: "place",
    act: async (page) => {
      await page.getByRole("button", { name: "Choose a place by hand" }).click();
      await page.getByRole("combobox").fill("berl");
      await page
        .getByRole("option", { name: /^Berlin/ })
        .first()
        .waitFor();
    },
    says: /Nothing is loaded from outside/,
    offers: "Be here",
  },
  {
    name: "alone-everywhere",
    as: "invite",
    act: async (page) => {
      await page.locator("main").getByRole("button", { name: "Invite" }).click();
      await page.getByRole("img", { name: /QR code/ }).waitFor();
    },
    says: /Invite people nearby/,
    offers: "Copy link",
  },
  { name: "invited", act: dialog, says: /leads to talk\.example\.net/, offers: "Stay here" },
  {
    name: "lively",
    as: "link",
    act: async (page) => {
      await page.getByRole("link", { name: /corner-cafe/ }).click();
      await dialog(page);
    },
    says: /leads out of NearTalk/,
    offers: "Open example.org",
  },
  { name: "crowd", extra: "&messages=400", says: /./ },
];

/** The languages that turn the window around or fill it most, in the states with most words. */
const ABROAD = [
  {
    lang: "ar",
    names: ["first-run", "lively", "voice", "voice-new", "circle", "settings-voice", "person", "offline"],
  },
  {
    lang: "de",
    names: ["first-run", "alone", "offline", "voice", "voice-new", "voice-ask", "settings-voice"],
  },
  { lang: "hi", names: ["first-run", "lively", "circle", "voice-ask", "alone"] },
  { lang: "fr", names: ["lively", "offline"] },
  { lang: "es", names: ["denied", "person"] },
];

/** What must be right with letters twice as large, on the smallest screen. */
const LARGE = [
  "first-run",
  "denied",
  "alone",
  "offline",
  "lively",
  "circle",
  "voice",
  "mic-lost",
  "voice-new",
  "voice-new-around",
  "voice-ask",
  "person",
  "settings",
  "invite",
];

export async function states({ browser, base, out, report, only, quick }) {
  const plan = planned()
    .filter((one) => only === undefined || nameOf(one).includes(only))
    .filter((_, index) => !quick || chosen(index));
  await eachOf(plan, 3, async (one) => {
    let problems = await look(browser, base, out, one);
    // Interfaces come and go on a machine that tests networks; that is not the window's doing.
    if (problems.some((problem) => problem.includes("ERR_NETWORK_CHANGED"))) {
      problems = await look(browser, base, out, one);
    }
    for (const problem of problems) report(nameOf(one), problem);
  });
  return plan.length;
}

/** One in seven: each state once or so, and each size, light and language often enough. */
function chosen(index) {
  return index % 7 === 0;
}

function planned() {
  const plan = [];
  const find = (name) => STATES.find((one) => (one.as ?? one.name) === name);
  for (const state of STATES) {
    for (const size of SIZES) {
      for (const dark of [true, false]) plan.push({ state, size, dark, lang: "en" });
    }
  }
  for (const { lang, names } of ABROAD) {
    for (const state of names.map(find)) {
      for (const size of SIZES) plan.push({ state, size, dark: true, lang });
    }
  }
  for (const state of LARGE.map(find)) {
    plan.push({ state, size: SIZES[0], dark: true, lang: "en", large: true });
  }
  return plan;
}

function nameOf({ state, size, dark, lang, large }) {
  const name = `${state.as ?? state.name}-${size.join("x")}-${dark ? "dark" : "light"}-${lang}`;
  return large ? `${name}-large` : name;
}

/** Opens a state and says everything that is wrong with it. */
async function look(browser, base, out, { state, size, dark, lang, large }) {
  const name = state.as ?? state.name;
  const problems = [];
  const { page, errors } = await open(browser, base, {
    scenario: state.name,
    size,
    dark,
    lang,
    run: state.run ?? 1_200,
    extra: `${state.extra ?? ""}${large ? "&large" : ""}`,
  });
  try {
    if (lang === "en") await state.act?.(page);
    else await abroad(page, name);
    // What the window counts by itself, it counts in seconds.
    await page.waitForTimeout(state.run ? 1_200 : 60);
    // With letters twice as large not everything has room at once.
    if (lang === "en" && !large) problems.push(...(await said(page, state)));
    problems.push(...(await page.evaluate(shape, lang)), ...(await axe(page)));
  } catch (error) {
    problems.push(String(error).split("\n")[0]);
  }
  problems.push(...errors);
  await page.screenshot({ path: join(out, `${nameOf({ state, size, dark, lang, large })}.png`) });
  await page.close();
  return problems;
}

async function said(page, { says, offers }) {
  const problems = [];
  // What is seen, not what stands in the document.
  // biome-ignore lint/performance/useDomNodeTextContent: hidden text must not count
  const text = (await page.locator("body").innerText()).replace(/\s+/g, " ");
  if (!says.test(text)) problems.push(`does not say ${says}`);
  if (offers && (await page.getByRole("button", { name: offers }).count()) === 0) {
    problems.push(`does not offer "${offers}"`);
  }
  return problems;
}

/** The same clicks where the words are others: by place instead of name. */
async function abroad(page, name) {
  const narrow = (await page.locator("nav button").count()) > 0;
  if (name === "voice" && narrow) await tab(2)(page);
  if ((name === "circle" || name === "person") && narrow) await tab(1)(page);
  if (name === "person") await page.locator("ul li button").first().click();
  if (name === "voice-ask") await talkFromOutside(page);
  if (name === "settings-voice") {
    await page.locator("header button").last().click();
    await page.locator("[role=dialog] nav button").nth(1).click();
  }
  if (["person", "settings-voice"].includes(name)) await dialog(page);
}

/** What no picture may have: something cut off, the composer out of sight, Talk covered. */
function shape(lang) {
  const problems = [];
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) problems.push(`is ${root.scrollWidth - innerWidth} px too wide`);
  if (root.scrollHeight > innerHeight) problems.push("scrolls as a whole");
  if (root.lang !== lang) problems.push(`is in ${root.lang}`);
  if ((root.dir === "rtl") !== (lang === "ar")) problems.push(`reads ${root.dir}`);
  if (lang === "hi" || lang === "ar") {
    const letters = { hi: "\u0939\u093f", ar: "\u0639" }[lang];
    if (drawn(letters) === drawn("\u{fffff}"))
      problems.push("has no letters of this language: a font is missing");
  }
  function drawn(letters) {
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("2d");
    context.font = `32px ${getComputedStyle(document.body).fontFamily}`;
    context.fillText(letters, 4, 40);
    return canvas.toDataURL();
  }
  const visible = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0;
  };
  for (const element of document.querySelectorAll("button, a, input, textarea, select, p, h1, h2, h3")) {
    if (!visible(element) || element.closest(".sr-only, nav[aria-label]")) continue;
    const box = element.getBoundingClientRect();
    if (box.left < -1 || box.right > innerWidth + 1) {
      problems.push(`"${element.textContent?.slice(0, 40)}" sticks out sideways`);
    }
  }
  const covered = document.querySelector("[role=dialog]") !== null;
  const talk = document.querySelector("#talk");
  if (!talk) problems.push("has no Talk");
  else if (!covered) {
    const box = talk.getBoundingClientRect();
    if (box.bottom > innerHeight || box.top < 0) problems.push("has Talk out of sight");
    if (box.width < 48) problems.push(`has a Talk of ${box.width} px`);
    for (const [dx, dy] of [
      [0, 0],
      [0.3, 0],
      [-0.3, 0],
      [0, 0.3],
      [0, -0.3],
    ]) {
      const top = document.elementFromPoint(
        box.left + box.width * (0.5 + dx),
        box.top + box.height * (0.5 + dy),
      );
      if (top && !talk.contains(top)) problems.push(`has something over Talk: ${top.outerHTML.slice(0, 80)}`);
    }
  }
  const composer = document.querySelector("textarea");
  if (composer && !covered) {
    const box = composer.getBoundingClientRect();
    if (box.bottom > innerHeight) problems.push("has the composer out of sight");
    if (composer.scrollHeight > composer.clientHeight + 1 && composer.value !== "")
      problems.push("cuts the composer off");
    const top = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    if (top !== composer) problems.push("has something over the composer");
  }
  // Names and words that are cut are told by an ellipsis; buttons must not be cut.
  for (const button of document.querySelectorAll("button")) {
    if (
      visible(button) &&
      button.scrollWidth > button.clientWidth + 2 &&
      !button.querySelector(".truncate")
    ) {
      problems.push(`cuts the button "${button.textContent?.slice(0, 40)}"`);
    }
  }
  // What is meant for fingers is big enough for them.
  for (const button of document.querySelectorAll("button")) {
    const box = button.getBoundingClientRect();
    if (visible(button) && button.tabIndex >= 0 && (box.width < 36 || box.height < 36)) {
      problems.push(
        `has a button of ${Math.round(box.width)}×${Math.round(box.height)} px: ${button.outerHTML.slice(0, 80)}`,
      );
    }
  }
  return problems;
}

async function axe(page) {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { violations } = await window.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    });
    return violations.map(
      (v) =>
        `${v.id}: ${v.help} (${v.nodes.length}×, ${v.nodes[0]?.target} ${v.nodes[0]?.any[0]?.message ?? ""})`,
    );
  });
}
