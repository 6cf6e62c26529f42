/** How people choose where they are, and whom they meet there. */
import { advance, asked, calls } from "../lib.mjs";
import { expect, last, PHONE, WIDE } from "./steps.mjs";

export const AROUND = {
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
  "whoever allows in the system's settings what they had forbidden finds it allowed here": {
    scenario: "denied",
    size: PHONE,
    async run(page) {
      await page.getByRole("button", { name: "Open settings" }).click();
      const back = () => page.evaluate(() => window.dispatchEvent(new Event("focus")));
      await back();
      await advance(page, 800);
      await page.getByText("can't see where you are").waitFor({ state: "detached" });
      await back();
      const looked = (await calls(page)).filter((call) => call === "useLocation");
      expect(looked.length === 1, `it looked ${looked.length} times`);
    },
  },
  "whoever goes while one reads about them keeps their name": {
    scenario: "quiet",
    size: WIDE,
    async run(page) {
      await page
        .getByRole("button", { name: /^Snowy Kiwi/ })
        .first()
        .click();
      await page.getByRole("dialog").getByText("away").waitFor();
      await page.evaluate(() => window.__scripted.backend.leave(4));
      await page.getByText("Out of range now.").waitFor();
      await page.getByRole("heading", { name: /^Snowy Kiwi/ }).waitFor();
      await page.getByRole("button", { name: "Mention Snowy Kiwi" }).waitFor();
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
      await page.getByRole("dialog").waitFor();
      await page.keyboard.type("a_b");
      const typed = await page.getByRole("textbox", { name: "Name" }).inputValue();
      expect(typed === "a_b", `what is typed is not the name, but ${typed}`);
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
  "whoever is invited where others can read along is told so": {
    scenario: "quiet",
    size: PHONE,
    async run(page) {
      const invite = (relay) =>
        page.evaluate((to) => window.__scripted.backend.tellApp({ type: "invited", relay: to }), relay);
      await invite("https://talk.example.net");
      await page.getByRole("button", { name: "Go to talk.example.net" }).waitFor();
      expect(
        (await page.getByText("is not encrypted").count()) === 0,
        "it says so of a way that is encrypted",
      );
      await invite("http://talk.example.net/near");
      await page.getByRole("button", { name: "Go to talk.example.net/near" }).waitFor();
      await page.getByText("The way there is not encrypted").waitFor();
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
};
