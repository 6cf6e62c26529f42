/** What people do, step by step: with keys alone, with a pointer, with a finger. */
import { eachOf, open } from "./lib.mjs";
import { AROUND } from "./paths/around.mjs";
import { CHAT } from "./paths/chat.mjs";
import { VOICE } from "./paths/voice.mjs";
import { WINDOW } from "./paths/window.mjs";

const PATHS = { ...CHAT, ...AROUND, ...VOICE, ...WINDOW };

export async function paths({ browser, base, report, only }) {
  const wanted = Object.entries(PATHS).filter(([name]) => only === undefined || name.includes(only));
  const walk = async ([name, path]) => {
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
    // React says of what it was that failed.
    if (!path.fails) for (const error of errors) report(name, error);
    await page.close();
  };
  // All windows have one clipboard.
  const copies = ([, path]) => path.context?.permissions !== undefined;
  await eachOf(
    wanted.filter((one) => !copies(one)),
    2,
    walk,
  );
  await eachOf(wanted.filter(copies), 1, walk);
  return wanted.length;
}
