/** What holds wherever one is in the window. */
import { advance, asked, calls } from "../lib.mjs";
import { expect, LOW, PHONE, types, WIDE } from "./steps.mjs";

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

export const WINDOW = {
  ...STILL,
  "what is waited for moves": {
    scenario: "finding",
    size: WIDE,
    context: { reduced: false },
    async run(page) {
      expect((await moving(page)).length > 0, "nothing moves while the place is looked for");
    },
  },
  "a window that fails says so, and can be shown again": {
    scenario: "lively",
    size: WIDE,
    fails: true,
    async run(page) {
      await page.evaluate(() =>
        window.__scripted.backend.tell({ type: "nearby", people: [{ peer_id: "NOBODY" }], reach: [] }),
      );
      await page.getByText("can't show this window any more").waitFor();
      await page.getByRole("button", { name: "Show it again" }).click();
      await page.locator("header").waitFor();
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
  "where the system has few colours for everything, what is on differs from what is off": {
    scenario: "lively",
    size: WIDE,
    context: { forcedColors: "active" },
    async run(page) {
      const fill = (part) => part.evaluate((it) => getComputedStyle(it).backgroundColor);
      const slider = page.getByRole("slider", { name: "Radius of your circle" });
      const track = page.locator("span:has(> span > [role=slider]) > span").first();
      await slider.waitFor();
      expect(
        (await fill(track.locator("> span"))) !== (await fill(track)),
        "how far the slider is can't be seen",
      );
      const talk = page.locator("#talk");
      const drawn = await talk.evaluate((it) => getComputedStyle(it).color);
      expect(drawn !== (await fill(talk)), `Talk is ${drawn} on the same`);
      await page.getByRole("button", { name: "Settings" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Notifications" }).click();
      const box = (name) => page.getByRole("switch", { name }).locator("> span").last();
      const [on, off] = [await fill(box("When somebody mentions me")), await fill(box("With every message"))];
      expect(on !== off, `a switch is ${on} on and off`);
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
};
