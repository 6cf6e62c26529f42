/** How people come to talk, and to be silent. */
import { advance, asked, calls } from "../lib.mjs";
import { expect, holdTalk, LOW, last, PHONE, types, WIDE } from "./steps.mjs";

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

export const VOICE = {
  ...FIRST_WORD,
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
  "whoever leaves the window with Talk held down is not heard any more": {
    scenario: "lively",
    size: WIDE,
    async run(page) {
      const pressed = async () => last(await asked(page), "voice_press")?.pressed;
      await page.evaluate(() => window.__scripted.backend.command({ type: "voice_join" }));
      await advance(page, 800);
      await page.evaluate(() => document.activeElement?.blur?.());
      await page.keyboard.down("Space");
      expect((await pressed()) === true, "Space does not talk");
      // Another window has the keyboard by now, and hears that the key is let go.
      await page.evaluate(() => window.dispatchEvent(new Event("blur")));
      expect((await pressed()) === false, "it goes on after the window was left");
      await page.keyboard.up("Space");
      // The button goes away under the finger.
      await holdTalk(page);
      expect((await pressed()) === true, "Talk does not talk");
      await page.evaluate(() => window.dispatchEvent(new PointerEvent("pointerup", { pointerId: 77 })));
      expect((await pressed()) === true, "another finger lets go of it");
      await page.setViewportSize({ width: 400, height: 740 });
      await page.locator("nav").waitFor();
      await page.mouse.move(5, 300);
      await page.mouse.up();
      expect((await pressed()) === false, "it goes on after the finger was lifted");
      // A key of the system's is held in whatever window.
      await page.evaluate(() => {
        window.__scripted.backend.tellApp({ type: "talk", pressed: true });
        window.dispatchEvent(new Event("blur"));
      });
      expect((await pressed()) === true, "a key of the system's is let go by leaving the window");
      await page.evaluate(() => window.__scripted.backend.tellApp({ type: "talk", pressed: false }));
      expect((await pressed()) === false, "a key of the system's is not let go");
    },
  },
  "a microphone that was forbidden is asked for again when one is back from the settings": {
    scenario: "mic-denied",
    size: WIDE,
    async run(page) {
      await page.getByRole("button", { name: "Open settings" }).click();
      expect((await calls(page)).includes("openSystemSettings microphone"), "no settings are opened");
      await page.evaluate(() => {
        window.__scripted.backend.microphone = "granted";
        window.dispatchEvent(new Event("focus"));
      });
      await page.getByText("The microphone is off for this app").waitFor({ state: "detached" });
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
  "where there is no relay to talk through, Talk says so": {
    scenario: "banned",
    size: WIDE,
    async run(page) {
      const talk = page.getByRole("button", { name: "Talk. Not connected" });
      expect(await talk.isDisabled(), "it can be pressed for nothing");
    },
  },
  "whoever hears nobody is told that nobody hears them, also with Talk held": {
    scenario: "lively",
    size: WIDE,
    async run(page) {
      await page.evaluate(() => window.__scripted.backend.command({ type: "voice_join" }));
      await advance(page, 800);
      await page.getByRole("button", { name: "Stop listening" }).click();
      await holdTalk(page);
      const talk = page.getByRole("button", { name: "Talk. You hear nobody, and nobody hears you" });
      expect((await talk.getAttribute("aria-pressed")) === "false", "Talk looks as if one were heard");
      await page.mouse.up();
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
  "a microphone is chosen before any is opened": {
    scenario: "quiet",
    size: PHONE,
    async run(page) {
      await page.getByRole("button", { name: "Settings" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Voice" }).click();
      await page.getByRole("combobox", { name: "Microphone" }).selectOption("Headset microphone");
      const chosen = last(await asked(page), "voice_configure")?.settings.input;
      expect(chosen?.id === "headset", `chosen is ${JSON.stringify(chosen)}`);
      expect(!types(await asked(page)).includes("voice_test"), "one was opened");
    },
  },
};
