/** What people do with messages. */
import { advance, asked, calls } from "../lib.mjs";
import { expect, last, PHONE, tabTo, types, WIDE } from "./steps.mjs";

export const CHAT = {
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
  "the key that ends a composition sends nothing": {
    scenario: "lively",
    size: WIDE,
    async run(page) {
      await page.getByRole("textbox").fill("にほん");
      // As WebKit has it: the composition is over, and its key comes after.
      await page.getByRole("textbox").evaluate((box) => {
        const key = { key: "Enter", code: "Enter", keyCode: 229, bubbles: true, cancelable: true };
        box.dispatchEvent(new KeyboardEvent("keydown", key));
      });
      expect(!types(await asked(page)).includes("say"), "it was sent");
      await page.keyboard.press("Enter");
      expect(last(await asked(page), "say")?.text === "にほん", "Enter does not send");
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
  "reading further up is not disturbed by what vanishes above it": {
    scenario: "crowd",
    extra: "&messages=300",
    size: PHONE,
    async run(page) {
      await page.locator("section[aria-label=Messages]").hover();
      await page.mouse.wheel(0, -3_000);
      await page.getByRole("button", { name: "To the newest" }).waitFor();
      // Where a row lies, once the list has stood still for a while.
      const top = () =>
        page.evaluate(async () => {
          const row = () => document.getElementById("read");
          while (!row()) {
            const found = document.elementFromPoint(180, 300)?.closest("[data-row]");
            if (found) found.id = "read";
            await new Promise(requestAnimationFrame);
          }
          let [seen, still] = [0, 0];
          while (still < 20) {
            await new Promise(requestAnimationFrame);
            const now = Math.round(row().getBoundingClientRect().top);
            still = now === seen ? still + 1 : 0;
            seen = now;
          }
          return seen;
        });
      const before = await top();
      const rows = () => page.evaluate(() => Number(document.getElementById("read").dataset.row));
      const index = await rows();
      await advance(page, 90_000);
      expect((await rows()) < index, "nothing has vanished");
      const after = await top();
      expect(after === before, `the list moved from ${before} to ${after}`);
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
