/** What people do, step by step: with keys alone, with a pointer, with a finger. */
import { advance, asked, calls, eachOf, open } from "./lib.mjs";

const WIDE = [1280, 800];
const PHONE = [360, 740];
/** With a keyboard on the screen. */
const LOW = [360, 380];

/** Presses Tab until something has the focus; says how often. */
async function tabTo(page, matches, most = 40) {
  for (let presses = 1; presses <= most; presses += 1) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(matches)) return presses;
  }
  throw new Error(`Tab does not lead to ${matches} in ${most} presses`);
}

const types = (commands) => commands.map((c) => c.type);
const last = (commands, type) => commands.findLast((c) => c.type === type);

function expect(condition, what) {
  if (!condition) throw new Error(what);
}

/** What moves without end, once all else has come to rest. */
async function moving(page) {
  return page.evaluate(async () => {
    const isEndless = (animation) =>
      animation.effect?.getComputedTiming().endTime === Number.POSITIVE_INFINITY;
    const isOver = (animation) => ["finished", "idle"].includes(animation.playState);
    for (;;) {
      const ends = document.getAnimations().filter((it) => !isEndless(it) && !isOver(it));
      if (ends.length === 0) break;
      await Promise.allSettled(ends.map((it) => it.finished));
    }
    return document
      .getAnimations()
      .filter(isEndless)
      .map((it) => it.animationName ?? "a transition");
  });
}

/** Nothing may move while nothing happens: it would keep a processor busy for nobody. */
const STILL = Object.fromEntries(
  ["first-run", "quiet", "alone", "alone-everywhere", "denied"].map((scenario) => [
    `nothing moves while nothing happens: ${scenario}`,
    {
      scenario,
      size: WIDE,
      context: { reduced: false },
      async run(page) {
        const found = await moving(page);
        expect(found.length === 0, `there move ${found.join(", ")}`);
      },
    },
  ]),
);

/** Holds Talk, as whoever wants to say something does. */
async function holdTalk(page) {
  const box = await page.locator("#talk").boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.mouse.down();
  return box;
}

/** A newcomer wants the place to be known, says so to the system, which asks, and holds Talk. */
const FIRST_WORD = Object.fromEntries(
  ["Chat", "Around", "Voice"].map((view) => [
    `three actions lead to the first word in a narrow window: ${view}`,
    {
      scenario: "newcomer",
      size: PHONE,
      async run(page) {
        // Where one happens to be is no action on the way.
        await page.getByRole("button", { name: view, exact: true }).click();
        await page.getByRole("button", { name: "Use my location" }).click();
        await advance(page, 1_000);
        await page.getByText("People in the call could see your IP address").waitFor();
        await page.getByRole("button", { name: "Hide my address, slightly slower" }).waitFor();
        const box = await holdTalk(page);
        await advance(page, 800);
        await page.waitForFunction(
          () =>
            document.querySelector("[role=dialog]") ||
            window.__scripted.commands.some((command) => command.type === "voice_join"),
        );
        // Whatever stands between Talk and the first word is an action more.
        const between = await page.getByRole("dialog").getByRole("button", { name: "Talk" }).count();
        const questions = (await calls(page)).filter((call) => /^(useLocation|askMicrophone)$/.test(call));
        const actions = 2 + between + questions.length;
        expect(actions === 3, `the first word takes ${actions} actions`);
        const commands = await asked(page);
        expect(types(commands).includes("voice_join"), "voice is not joined");
        expect(last(commands, "voice_press")?.pressed === true, "whoever holds it does not talk");
        await page.getByText("could see your IP address").waitFor({ state: "detached" });
        const after = await page.locator("#talk").boundingBox();
        const moved = after.y + after.height / 2 - box.y - box.height / 2;
        expect(Math.abs(moved) < 2, `Talk moved by ${moved} px from under the finger`);
        await page.mouse.up();
        expect(last(await asked(page), "voice_press")?.pressed === false, "letting go does not stop");
      },
    },
  ]),
);

const PATHS = {
  ...STILL,
  ...FIRST_WORD,
  "what is waited for moves": {
    scenario: "finding",
    size: WIDE,
    context: { reduced: false },
    async run(page) {
      expect((await moving(page)).length > 0, "nothing moves while the place is looked for");
    },
  },
  "keys alone lead from the first run to a message that reached people": {
    scenario: "first-run",
    size: WIDE,
    async run(page) {
      const presses = await tabTo(page, () => document.activeElement?.textContent === "Use my location");
      expect(presses <= 8, `the first button is ${presses} presses away`);
      await page.keyboard.press("Enter");
      await advance(page, 1_000);
      expect(
        await page.evaluate(() => document.activeElement?.tagName === "TEXTAREA"),
        "the composer does not get the focus when the place is known",
      );
      await page.keyboard.type("Hello around here");
      await page.keyboard.press("Enter");
      await advance(page, 400);
      expect(last(await asked(page), "say")?.text === "Hello around here", "nothing was said");
      await page.getByText("Reached 7").waitFor();
      // Three actions: the place, the words, Enter.
    },
  },
  "keys alone read messages, reply, and come back": {
    scenario: "lively",
    size: WIDE,
    async run(page) {
      await page.locator("section[aria-label=Messages]").focus();
      await page.keyboard.press("ArrowUp");
      await page.waitForFunction(() => document.activeElement?.matches("[data-row]"));
      expect(
        /Two seats left/.test(await page.evaluate(() => document.activeElement.getAttribute("aria-label"))),
        "the newest message does not come first",
      );
      await page.keyboard.press("Enter");
      await page.getByRole("menuitem", { name: "Reply" }).waitFor();
      await page.keyboard.press("Enter");
      await page.getByText("Reply to Blue Fox").waitFor();
      await page.waitForFunction(() => document.activeElement?.tagName === "TEXTAREA");
      await page.keyboard.type("On my way");
      await page.keyboard.press("Enter");
      expect(
        last(await asked(page), "say")?.text === "> Blue Fox: Two seats left, hurry\nOn my way",
        "the reply has no quote",
      );
    },
  },
  "keys alone choose the circle": {
    scenario: "lively",
    size: WIDE,
    async run(page) {
      await page.getByRole("slider", { name: "Radius of your circle" }).focus();
      await page.keyboard.press("ArrowRight");
      expect(last(await asked(page), "set_radius")?.radius === 750, "an arrow is not one step");
      await page.keyboard.press("End");
      expect(last(await asked(page), "set_radius")?.radius === 2000, "End is not the widest");
      await advance(page, 400);
      await page.getByText("13 people", { exact: false }).first().waitFor();
    },
  },
  "a pointer drags the rim": {
    scenario: "lively",
    size: WIDE,
    async run(page) {
      const circle = page.getByRole("img", { name: /Your circle of/ });
      const box = await circle.boundingBox();
      const middle = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
      const from = 0.73 * 0.96 * (box.width / 2);
      await page.mouse.move(middle.x, middle.y + from);
      await page.mouse.down();
      await page.mouse.move(middle.x, middle.y + box.width * 0.36, { steps: 4 });
      expect(
        (await asked(page)).every((c) => c.type !== "set_radius"),
        "the relay is told while dragging",
      );
      await page
        .getByText(/people/)
        .first()
        .waitFor();
      await page.mouse.move(middle.x, middle.y + box.width * 0.48, { steps: 4 });
      await page.mouse.up();
      expect(last(await asked(page), "set_radius")?.radius === 2000, "the rim does not follow");
    },
  },
  "the space bar talks, and lets go": {
    scenario: "lively",
    size: WIDE,
    async run(page) {
      await page.evaluate(() => window.__scripted.backend.command({ type: "voice_join" }));
      await advance(page, 800);
      await page.locator("body").click({ position: { x: 640, y: 60 } });
      await page.evaluate(() => document.activeElement?.blur?.());
      await page.keyboard.down("Space");
      expect(last(await asked(page), "voice_press")?.pressed === true, "Space does not talk");
      await page.keyboard.up("Space");
      expect(last(await asked(page), "voice_press")?.pressed === false, "Space does not let go");
      await page.getByRole("textbox").focus();
      await page.keyboard.type("a b");
      expect((await page.getByRole("textbox").inputValue()) === "a b", "Space can't be typed");
    },
  },
  "what is typed with nothing to take it goes to the composer, and so does what is pasted": {
    scenario: "lively",
    size: WIDE,
    context: { permissions: ["clipboard-read", "clipboard-write"] },
    async run(page) {
      const composer = page.getByRole("textbox");
      await page.getByText("Two seats left, hurry").click();
      await page.keyboard.type("On my way");
      expect((await composer.inputValue()) === "On my way", await composer.inputValue());
      await composer.fill("");
      await page.getByText("Two seats left, hurry").click({ button: "right" });
      await page.getByRole("menuitem", { name: "Copy text" }).click();
      await page.getByText("Copied.").waitFor();
      await page.locator("section[aria-label=Messages]").focus();
      await page.keyboard.press("Control+v");
      expect((await composer.inputValue()) === "Two seats left, hurry", await composer.inputValue());
      // What lies over the chat has keys of its own, and so has a list.
      await composer.fill("");
      await page.getByRole("button", { name: "Settings" }).click();
      await page.getByRole("dialog").waitFor();
      await page.keyboard.press("x");
      await page.keyboard.press("Escape");
      expect((await composer.inputValue()) === "", "a letter goes through what lies over the chat");
    },
  },
  "no way of pressing a link gets around the warning, and its address can be copied": {
    scenario: "lively",
    size: WIDE,
    context: { permissions: ["clipboard-read", "clipboard-write"] },
    async run(page) {
      const opened = [];
      page.context().on("page", (other) => opened.push(other.url()));
      const link = page.getByRole("link", { name: /corner-cafe/ });
      await link.click({ button: "middle" });
      await link.click({ button: "right" });
      await page.getByRole("menuitem", { name: "Copy link" }).click();
      await page.getByText("Copied.").waitFor();
      const copied = await page.evaluate(() => navigator.clipboard.readText());
      expect(copied === "https://example.org/corner-cafe/menu?day=today", `copied is ${copied}`);
      await link.click({ modifiers: ["Control"] });
      await page.getByRole("button", { name: "Open example.org" }).waitFor();
      expect(opened.length === 0, `it opened ${opened}`);
      expect(page.url().includes("scenario=lively"), "the window itself went away");
    },
  },
  "of a reply the words are copied, not what they answer": {
    scenario: "lively",
    size: WIDE,
    context: { permissions: ["clipboard-read", "clipboard-write"] },
    async run(page) {
      await page.getByText("Thanks, I nearly leant on it").click({ button: "right" });
      await page.getByRole("menuitem", { name: "Copy text" }).click();
      await page.getByText("Copied.").waitFor();
      const copied = await page.evaluate(() => navigator.clipboard.readText());
      expect(copied === "Thanks, I nearly leant on it", `copied is ${copied}`);
    },
  },
  "in voice a key mutes and another deafens, also while one types, and the buttons say which": {
    scenario: "lively",
    size: WIDE,
    async run(page) {
      await page.keyboard.press("Control+Shift+KeyM");
      expect(!types(await asked(page)).includes("voice_mute"), "it mutes where there is no voice");
      await page.evaluate(() => window.__scripted.backend.command({ type: "voice_join" }));
      await advance(page, 800);
      const mute = page.getByRole("button", { name: "Mute", exact: true });
      expect((await mute.getAttribute("title")) === "Mute (Ctrl+Shift+M)", "the button does not say so");
      await page.getByRole("textbox").focus();
      await page.keyboard.press("Control+Shift+KeyM");
      await page.getByRole("button", { name: "Unmute", exact: true }).waitFor();
      await page.keyboard.press("Control+Shift+KeyM");
      await mute.waitFor();
      await page.keyboard.press("Control+Shift+KeyD");
      await page.getByRole("button", { name: "Listen again" }).waitFor();
      expect(last(await asked(page), "voice_deafen")?.deafened === true, "it does not deafen");
      expect((await page.getByRole("textbox").inputValue()) === "", "it types");
    },
  },
  "a key of one's own talks also while one types": {
    scenario: "own-key",
    size: WIDE,
    async run(page) {
      await page.getByRole("button", { name: "Settings" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Voice" }).click();
      await page.getByRole("button", { name: "None", exact: true }).click();
      await page.keyboard.press("Control+Shift+KeyK");
      await page.getByRole("button", { name: "Ctrl+Shift+K" }).waitFor();
      await page.keyboard.press("Escape");
      await page.evaluate(() => window.__scripted.backend.command({ type: "voice_join" }));
      await advance(page, 800);
      await page.getByRole("textbox").focus();
      await page.keyboard.down("Control");
      await page.keyboard.down("Shift");
      await page.keyboard.down("KeyK");
      expect(last(await asked(page), "voice_press")?.pressed === true, "it does not talk");
      await page.keyboard.up("Control");
      await page.keyboard.up("KeyK");
      await page.keyboard.up("Shift");
      expect(last(await asked(page), "voice_press")?.pressed === false, "it does not let go");
      expect((await page.getByRole("textbox").inputValue()) === "", "it types");
    },
  },
  "where there is no room to say it beside Talk, the first press asks once, then joins": {
    scenario: "voice-new",
    size: LOW,
    async run(page) {
      await page.locator("#talk").click();
      await page.getByRole("button", { name: "Talk", exact: true }).click();
      await advance(page, 800);
      expect((await calls(page)).includes("askMicrophone"), "the microphone is not asked for");
      expect(types(await asked(page)).includes("voice_join"), "voice is not joined");
      // The place, Talk, and the answer: the third action is the first word.
      expect(last(await asked(page), "voice_press")?.pressed === true, "the answer does not talk");
      await page.getByRole("button", { name: "Talk. On. Press to stop" }).waitFor();
      await page.locator("#talk").click();
      expect(last(await asked(page), "voice_press")?.pressed === false, "a press does not end it");
    },
  },
  "hold talks, sliding up locks": {
    scenario: "lively",
    size: PHONE,
    async run(page) {
      await page.evaluate(() => window.__scripted.backend.command({ type: "voice_join" }));
      await advance(page, 800);
      const box = await page.locator("#talk").boundingBox();
      const x = box.x + box.width / 2;
      const y = box.y + box.height / 2;
      await page.mouse.move(x, y);
      await page.mouse.down();
      expect(last(await asked(page), "voice_press")?.pressed === true, "holding does not talk");
      await page.mouse.up();
      expect(last(await asked(page), "voice_press")?.pressed === false, "letting go does not stop");
      await page.mouse.down();
      await page.mouse.move(x, y - 60, { steps: 5 });
      await page.mouse.up();
      expect(last(await asked(page), "voice_press")?.pressed === true, "sliding up does not lock");
      await page.mouse.move(x, y);
      await page.mouse.down();
      await page.mouse.up();
      expect(last(await asked(page), "voice_press")?.pressed === false, "a press does not unlock");
    },
  },
  "a newer version is looked for when one wants to know, and installed when one says so": {
    scenario: "updates",
    size: WIDE,
    async run(page) {
      await page.getByRole("button", { name: "Settings" }).click();
      expect(!(await calls(page)).includes("lookForUpdate"), "it looks without being asked");
      await page.getByRole("button", { name: "Look for a newer version" }).click();
      await page.getByText("Version 0.2.0 is there.").waitFor();
      expect(!(await calls(page)).includes("installUpdate"), "it installs without being asked");
      await page.getByRole("button", { name: "Install and restart" }).click();
      expect((await calls(page)).includes("installUpdate"), "it is not installed");
    },
  },
  "where newer versions are is not known, so nothing is offered": {
    scenario: "lively",
    size: WIDE,
    async run(page) {
      await page.getByRole("button", { name: "Settings" }).click();
      await page.getByText("Version 0.").waitFor();
      expect((await page.getByText("newer version").count()) === 0, "it is offered");
    },
  },
  "where it says beside Talk what voice shows of one, the first press talks": {
    scenario: "voice-new",
    size: WIDE,
    async run(page) {
      await page.getByText("People in the call could see your IP address").waitFor();
      await page.getByRole("button", { name: "Hide my address, slightly slower" }).click();
      const box = await holdTalk(page);
      await advance(page, 800);
      const commands = await asked(page);
      expect(last(commands, "voice_configure")?.settings.hide_address === true, "the address is not hidden");
      expect(types(commands).includes("voice_join"), "voice is not joined");
      expect(last(commands, "voice_press")?.pressed === true, "whoever holds it does not talk");
      expect((await page.getByRole("dialog").count()) === 0, "it asks nevertheless");
      await page.mouse.up();
      expect(last(await asked(page), "voice_press")?.pressed === false, "letting go does not stop");
      // Once read, it is known.
      await page.getByText("could see your IP address").waitFor({ state: "detached" });
      const after = await page.locator("#talk").boundingBox();
      // It grows under the pointer, around the same middle.
      const moved = after.y + after.height / 2 - box.y - box.height / 2;
      expect(Math.abs(moved) < 2, `Talk moved by ${moved} px from under the finger`);
    },
  },
  "what is wrong with the connection is said on every tab, and can be tried again": {
    scenario: "offline",
    size: PHONE,
    async run(page) {
      for (const name of ["Around", "Voice", "Chat"]) {
        await page.getByRole("button", { name, exact: true }).click();
        await page.getByText("No connection. 2 messages wait and will be sent.").first().waitFor();
      }
      await page
        .locator("p[role=status].sr-only", { hasText: "No connection." })
        .waitFor({ state: "attached" });
      await page.locator("header").getByRole("button", { name: "No connection. Retry now" }).click();
      expect(types(await asked(page)).includes("retry_now"), "it is not tried again");
      await advance(page, 800);
      await page
        .locator("header")
        .getByRole("button", { name: "No connection" })
        .waitFor({ state: "detached" });
      await page.getByText("Reached 7").waitFor();
    },
  },
  "without a place, every tab says how to get one": {
    scenario: "first-run",
    size: PHONE,
    async run(page) {
      for (const name of ["Around", "Voice", "Chat"]) {
        await page.getByRole("button", { name, exact: true }).click();
        await page.getByRole("button", { name: "Use my location" }).waitFor();
      }
    },
  },
  "a message is reported in three presses": {
    scenario: "lively",
    size: WIDE,
    async run(page) {
      await page.getByText("Two seats left, hurry").click({ button: "right" });
      await page.getByRole("menuitem", { name: "Report this message" }).click();
      await page.getByRole("radio", { name: "Harassment or abuse" }).check();
      await page.getByRole("button", { name: "Send report" }).click();
      const report = last(await asked(page), "report");
      expect(report?.reason === "abuse" && report.message_id !== undefined, JSON.stringify(report));
    },
  },
  "hiding the address is chosen before the first word, beside Talk": {
    scenario: "voice-new",
    size: PHONE,
    async run(page) {
      const choice = page.getByRole("button", { name: /Hide my address/ });
      await choice.click();
      expect((await choice.getAttribute("aria-pressed")) === "true", "the choice is not shown");
      expect(!types(await asked(page)).includes("voice_join"), "the choice joins voice by itself");
      await holdTalk(page);
      await advance(page, 400);
      await page.mouse.up();
      const commands = await asked(page);
      const configured = types(commands).indexOf("voice_configure");
      expect(commands[configured]?.settings.hide_address === true, "the address is not hidden");
      expect(configured < types(commands).indexOf("voice_join"), "voice is joined before");
      expect((await calls(page)).includes("askMicrophone"), "the microphone is not asked for");
    },
  },
  "what is said beside Talk can be put away, and is not said again": {
    scenario: "voice-new",
    size: PHONE,
    async run(page) {
      await page.getByRole("button", { name: "Close" }).click();
      await page.getByText("could see your IP address").waitFor({ state: "detached" });
      expect((await calls(page)).includes("saveSettings voice_explained"), "it is not remembered");
      await holdTalk(page);
      await advance(page, 800);
      expect((await page.getByRole("dialog").count()) === 0, "it asks nevertheless");
      expect(last(await asked(page), "voice_press")?.pressed === true, "whoever holds it does not talk");
      await page.mouse.up();
    },
  },
  "what letters twice as large push out of sight beside Talk, Talk says": {
    scenario: "voice-new",
    extra: "&large",
    size: PHONE,
    async run(page) {
      await page.locator("#talk").click();
      const sheet = page.getByRole("dialog");
      await sheet.getByText("People in the call could see your IP address").waitFor();
      expect(!types(await asked(page)).includes("voice_join"), "voice is joined before");
    },
  },
  "hiding the address is chosen before the first word, where Talk asks": {
    scenario: "voice-new",
    size: LOW,
    async run(page) {
      await page.locator("#talk").click();
      await page.getByRole("button", { name: /Hide my address/ }).click();
      await advance(page, 400);
      const commands = await asked(page);
      const configured = types(commands).indexOf("voice_configure");
      expect(commands[configured]?.settings.hide_address === true, "the address is not hidden");
      expect(configured < types(commands).indexOf("voice_join"), "voice is joined before");
    },
  },
  "panic by keys: nothing is left, at once and without a question": {
    scenario: "lively",
    size: WIDE,
    async run(page) {
      await page.evaluate(() => window.__scripted.backend.hear(2, "Nobody must see this"));
      await page.getByText("Nobody must see this").last().waitFor({ state: "attached" });
      const took = await page.evaluate(
        () =>
          new Promise((resolve) => {
            const began = performance.now();
            const event = { ctrlKey: true, shiftKey: true, code: "KeyX", key: "X", bubbles: true };
            document.body.dispatchEvent(new KeyboardEvent("keydown", event));
            const look = () =>
              document.body.textContent.includes("Two seats left")
                ? requestAnimationFrame(look)
                : resolve(performance.now() - began);
            look();
          }),
      );
      expect(took < 200, `it took ${took.toFixed(0)} ms`);
      await advance(page, 400);
      expect((await calls(page)).includes("panic"), "the shell was not told");
      await page.getByText("You are Brave Finch").waitFor();
      const text = await page.locator("body").textContent();
      expect(
        !/Blue Fox|Two seats|Quiet Otter|Nobody must see this/.test(text),
        "something is left on the screen",
      );
    },
  },
  "panic by three taps on the logo, but not by two": {
    scenario: "lively",
    size: PHONE,
    async run(page) {
      const logo = page.locator("header button").first();
      await logo.click();
      await logo.click();
      expect(!(await calls(page)).includes("panic"), "two taps are enough");
      await logo.click();
      await advance(page, 400);
      expect((await calls(page)).includes("panic"), "three taps are not enough");
    },
  },
  "a mention is offered and taken with keys": {
    scenario: "lively",
    size: WIDE,
    async run(page) {
      await page.getByRole("textbox").focus();
      await page.keyboard.type("Look @mer");
      await page.getByRole("option", { name: /Merry Otter/ }).waitFor();
      await page.keyboard.press("Enter");
      await page.waitForFunction(() => document.querySelector("textarea").value === "Look @Merry Otter ");
    },
  },
  "a long message is counted and held back": {
    scenario: "lively",
    size: PHONE,
    async run(page) {
      await page.getByRole("textbox").fill("x".repeat(460));
      await page.getByText("40 characters left").waitFor();
      await page.getByRole("textbox").fill("x".repeat(501));
      await page.getByText("1 character too many").waitFor();
      expect(await page.getByRole("button", { name: "Send" }).isDisabled(), "it can be sent");
    },
  },
  "a link opens only after it has been agreed to": {
    scenario: "lively",
    size: WIDE,
    async run(page) {
      await page.getByRole("link", { name: /corner-cafe/ }).click();
      await page.getByRole("button", { name: "Open example.org" }).waitFor();
      expect(
        (await calls(page)).every((call) => !call.startsWith("openLink")),
        "it opened by itself",
      );
      await page.getByRole("button", { name: "Open example.org" }).click();
      expect(
        (await calls(page)).includes("openLink https://example.org/corner-cafe/menu?day=today"),
        "it did not open",
      );
      expect(page.url().includes("scenario=lively"), "the window itself went away");
    },
  },
  "somebody is made louder, muted, reported, blocked and taken back": {
    scenario: "voice",
    size: WIDE,
    async run(page) {
      const row = () => page.getByRole("button", { name: /^Blue Fox/ }).first();
      await row().click();
      await page.getByRole("slider", { name: "Volume of Blue Fox" }).focus();
      await page.keyboard.press("ArrowRight");
      expect(last(await asked(page), "voice_person")?.volume_percent === 105, "it is not louder");
      await page.getByRole("switch", { name: "Mute for me" }).click();
      expect(last(await asked(page), "voice_person")?.muted === true, "it is not muted");
      await page.getByRole("button", { name: "Report" }).click();
      await page.getByRole("radio", { name: "Spam" }).check();
      await page.getByRole("button", { name: "Send report" }).click();
      expect(last(await asked(page), "report")?.reason === "spam", "nothing is reported");
      await advance(page, 200);
      await page.getByText("Reported. Thank you.").waitFor();
      await row().click();
      await page.getByRole("button", { name: "Block" }).click();
      await page.getByText("Blue Fox is blocked.").waitFor();
      expect((await page.getByText("Two seats left").count()) === 0, "their words are still there");
      await page.getByRole("button", { name: "Undo" }).click();
      expect(last(await asked(page), "unblock") !== undefined, "it can't be undone");
    },
  },
  "the name is changed, and what is left is told": {
    scenario: "lively",
    size: PHONE,
    async run(page) {
      await page.locator("header button").nth(1).click();
      await page.getByRole("textbox", { name: "Name" }).fill("a_b");
      await page.getByText("Letters, digits and single spaces").waitFor();
      await page.getByRole("textbox", { name: "Name" }).fill("Red Panda");
      await page.keyboard.press("Enter");
      await advance(page, 200);
      await page.getByText("2 changes left").waitFor();
    },
  },
  "a place is chosen from the list, by keys": {
    scenario: "denied",
    size: PHONE,
    async run(page) {
      await page.getByRole("button", { name: "Choose a place by hand" }).click();
      await page.getByRole("combobox", { name: "City" }).fill("lisb");
      await page.getByRole("option", { name: /^Lisbon/ }).waitFor();
      await page.keyboard.press("Enter");
      await page.getByRole("button", { name: "Be here" }).click();
      await advance(page, 500);
      expect(
        (await calls(page)).some((call) => /^placeByHand 38\.7\d+ -9\.1\d+ By hand, near Lisbon$/.test(call)),
        `the place is ${JSON.stringify(await calls(page))}`,
      );
    },
  },
  "a place is chosen by coordinates, and on the map": {
    scenario: "denied",
    size: WIDE,
    async run(page) {
      await page.getByRole("button", { name: "Choose a place by hand" }).click();
      const field = page.getByRole("textbox", { name: "Coordinates" });
      await field.fill("52.5230, 13.4140");
      await page.getByRole("application").focus();
      await page.keyboard.press("ArrowUp");
      expect(/^52\.52\d+, 13\.4140$/.test(await field.inputValue()), "an arrow does not move the point");
      expect((await field.inputValue()) !== "52.5230, 13.4140", "the point stays");
      const box = await page.getByRole("application").boundingBox();
      await page.mouse.click(box.x + 40, box.y + 40);
      await page.getByRole("button", { name: "Be here" }).click();
      expect(
        (await calls(page)).some((call) => call.startsWith("placeByHand")),
        "no place was taken",
      );
    },
  },
  "another relay is asked before one goes there": {
    scenario: "unreachable",
    size: PHONE,
    async run(page) {
      await page.getByRole("button", { name: "Change relay" }).click();
      const address = page.getByRole("textbox", { name: "Address of the relay" });
      await address.fill("unreachable.example.org");
      await page.getByRole("button", { name: "Check" }).click();
      await page.getByText("It does not answer.").waitFor();
      expect(
        (await page.getByRole("button", { name: "Go to this relay" }).count()) === 0,
        "one can go there",
      );
      await address.fill("https://talk.example.net");
      await page.getByRole("button", { name: "Check" }).click();
      await page.getByText("It answers after 38 ms").waitFor();
      await page.getByRole("button", { name: "Go to this relay" }).click();
      expect((await calls(page)).includes("changeRelay https://talk.example.net"), "nobody went");
    },
  },
  "what others say is read aloud, and a mention especially": {
    scenario: "lively",
    size: WIDE,
    async run(page) {
      await page.evaluate(() => window.__scripted.backend.hear(2, "@Quiet Otter come over"));
      await page
        .locator("p[aria-live=polite].sr-only", {
          hasText: "Copper Lynx mentions you: @Quiet Otter come over",
        })
        .waitFor({ state: "attached" });
    },
  },
  "Escape closes, and the focus goes back to where it was": {
    scenario: "lively",
    size: WIDE,
    async run(page) {
      const button = page.getByRole("button", { name: "Settings" });
      await button.focus();
      await page.keyboard.press("Enter");
      await page.getByRole("dialog").waitFor();
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
      expect(await button.evaluate((b) => b === document.activeElement), "the focus is lost");
    },
  },
  "what has lived its time is gone": {
    scenario: "lively",
    size: PHONE,
    async run(page) {
      await page.getByText("Two seats left, hurry").waitFor();
      await page.evaluate(() => window.__scripted.clock.advance(31 * 60_000));
      await page.getByText("Two seats left, hurry").waitFor({ state: "detached" });
    },
  },
  "a message dissolves at its end": {
    scenario: "lively",
    size: PHONE,
    context: { reduced: false },
    async run(page) {
      const first = page.locator("[data-row]", { hasText: "Is the market on the square open today?" });
      const animation = () =>
        first.evaluate((row) =>
          row
            .getAnimations()
            .map((a) => a.animationName)
            .join(),
        );
      await page.locator("section[aria-label=Messages]").evaluate((list) => list.scrollTo(0, 0));
      await first.waitFor();
      expect((await animation()) === "", "it dissolves before its time");
      // It was said 28.4 minutes ago.
      await page.evaluate(() => window.__scripted.clock.advance(1.4 * 60_000));
      await page.waitForFunction(
        () => [...document.querySelectorAll("[data-row]")].some((row) => row.getAnimations().length > 0),
        null,
        { timeout: 15_000 },
      );
      expect((await animation()) === "dissolve", "it does not dissolve");
    },
  },
  "reading further up is not disturbed by what comes, and the way back is offered": {
    scenario: "crowd",
    extra: "&messages=300",
    size: PHONE,
    async run(page) {
      await page.locator("section[aria-label=Messages]").hover();
      await page.mouse.wheel(0, -3_000);
      // Which row is there and how far down it lies, once the list has stood still for a while.
      const there = () =>
        page.evaluate(async () => {
          const look = () => {
            const row = document.elementFromPoint(180, 300)?.closest("[data-row]");
            return row ? `${row.dataset.row} at ${Math.round(row.getBoundingClientRect().top)}` : "none";
          };
          let [seen, still] = [look(), 0];
          while (seen === "none" || still < 20) {
            await new Promise(requestAnimationFrame);
            const now = look();
            still = now === seen ? still + 1 : 0;
            seen = now;
          }
          return seen;
        });
      await page.getByRole("button", { name: "To the newest" }).waitFor();
      const before = await there();
      await page.evaluate(() => window.__scripted.backend.hear(2, "Something new"));
      await page.getByRole("button", { name: "1 new message" }).waitFor();
      const after = await there();
      expect(after === before, `the list moved: row ${before} before, ${after} after`);
      await page.getByRole("button", { name: "1 new message" }).click();
      await page.getByText("Something new").last().waitFor();
    },
  },
  "what came while one looked elsewhere begins under a line, until one answers": {
    scenario: "lively",
    size: WIDE,
    async run(page) {
      const hear = (text) => page.evaluate((said) => window.__scripted.backend.hear(2, said), text);
      const line = page.locator("main").getByText("New messages", { exact: true });
      await hear("Seen as it comes");
      await page.getByText("Seen as it comes").last().waitFor();
      expect((await line.count()) === 0, "what one sees is called new");
      await page.evaluate(() => {
        document.hasFocus = () => false;
        window.dispatchEvent(new Event("blur"));
      });
      await hear("First while away");
      await hear("Second while away");
      await line.waitFor();
      await page.evaluate(() => {
        delete document.hasFocus;
        window.dispatchEvent(new Event("focus"));
      });
      await hear("Seen again");
      await page.getByText("Seen again").last().waitFor();
      const [from, first, before] = await Promise.all(
        [line, page.getByText("First while away").last(), page.getByText("Seen as it comes").last()].map(
          (it) => it.boundingBox(),
        ),
      );
      expect(before.y < from.y && from.y < first.y, "the line is elsewhere");
      await page.getByRole("textbox").fill("Back");
      await page.keyboard.press("Enter");
      await line.waitFor({ state: "detached" });
    },
  },
  "whoever comes back to the chat goes on reading where they have not been": {
    scenario: "lively",
    size: PHONE,
    async run(page) {
      const view = (name) => page.locator("nav").getByRole("button", { name });
      await view("Around").click();
      await page.evaluate(() => {
        for (let i = 1; i <= 30; i += 1) window.__scripted.backend.hear(2, `Number ${i} of many`);
      });
      await page.getByText("30 new messages").waitFor({ state: "attached" });
      await view("Chat").click();
      await page.getByText("New messages", { exact: true }).waitFor();
      await page.getByText("Number 1 of many").waitFor();
      const begins = await page.getByText("Number 1 of many").boundingBox();
      expect(begins.y > 48 && begins.y < 300, `it begins at ${begins.y}`);
      await page.getByRole("button", { name: "30 new messages" }).click();
      await page.getByText("Number 30 of many").waitFor();
      await page.getByRole("button", { name: "30 new messages" }).waitFor({ state: "detached" });
      await view("Around").click();
      expect((await page.getByText("30 new messages").count()) === 0, "what was read is still new");
    },
  },
  "a keyboard on the screen covers neither the composer nor Talk": {
    scenario: "lively",
    size: LOW,
    async run(page) {
      for (const selector of ["textarea", "#talk"]) {
        const box = await page.locator(selector).boundingBox();
        expect(box.y >= 48 && box.y + box.height <= 380, `${selector} is out of sight`);
      }
    },
  },
  "text twice as large covers nothing": {
    scenario: "lively",
    size: PHONE,
    async run(page) {
      await page.evaluate(() => {
        document.documentElement.style.fontSize = "200%";
      });
      await page.waitForTimeout(200);
      for (const selector of ["textarea", "#talk", "nav button"]) {
        const box = await page.locator(selector).first().boundingBox();
        expect(box.x >= 0 && box.x + box.width <= 361, `${selector} sticks out sideways`);
        expect(box.y + box.height <= 740, `${selector} is out of sight`);
      }
      expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "it is too wide");
    },
  },
  "a swipe on a message is a reply": {
    scenario: "lively",
    size: PHONE,
    context: { hasTouch: true, isMobile: true },
    async run(page) {
      const box = await page.getByText("Two seats left, hurry").boundingBox();
      const session = await page.context().newCDPSession(page);
      const touch = (type, x) =>
        session.send("Input.dispatchTouchEvent", {
          type,
          touchPoints: type === "touchEnd" ? [] : [{ x, y: box.y + box.height / 2 }],
        });
      await touch("touchStart", box.x + 10);
      for (let x = 10; x <= 110; x += 10) await touch("touchMove", box.x + x);
      await touch("touchEnd", 0);
      await page.getByText("Reply to Blue Fox").waitFor({ timeout: 5_000 });
    },
  },
};

export async function paths({ browser, base, report, only }) {
  const wanted = Object.entries(PATHS).filter(([name]) => only === undefined || name.includes(only));
  await eachOf(wanted, 2, async ([name, path]) => {
    const { page, errors } = await open(browser, base, {
      scenario: path.scenario,
      size: path.size,
      extra: path.extra ?? "",
      ...path.context,
    });
    page.setDefaultTimeout(10_000);
    try {
      await path.run(page);
    } catch (error) {
      report(name, String(error).split("\n").slice(0, 3).join(" "));
    }
    for (const error of errors) report(name, error);
    await page.close();
  });
  return wanted.length;
}
