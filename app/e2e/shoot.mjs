/** Pictures of scenarios, for eyes: `node e2e/shoot.mjs scenario[,scenario] [360x740] [dark|light] [lang]`. */
import { mkdirSync } from "node:fs";
import { launch, open, serve } from "./lib.mjs";

const [names = "first-run", sizes = "360x740,1280x800", tones = "dark", lang = "en", clicks = ""] =
  process.argv.slice(2);
mkdirSync("e2e/out", { recursive: true });
const server = await serve();
const browser = await launch();
for (const scenario of names.split(",")) {
  for (const size of sizes.split(",")) {
    for (const tone of tones.split(",")) {
      const { page, errors } = await open(browser, server.url, {
        scenario,
        size: size.split("x").map(Number),
        dark: tone === "dark",
        lang,
      });
      for (const click of clicks.split(";").filter(Boolean)) {
        await page.locator(click).first().click();
        await page.waitForTimeout(900);
      }
      await page.waitForTimeout(250);
      await page.screenshot({ path: `e2e/out/${scenario}-${size}-${tone}-${lang}${clicks ? "-x" : ""}.png` });
      if (errors.length) console.log(scenario, size, errors);
      await page.close();
    }
  }
}
await browser.close();
server.close();
