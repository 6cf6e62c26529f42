/** Puts pictures side by side: `node e2e/sheet.mjs out.png a.png b.png …`. */
import sharp from "sharp";

const [out, ...files] = process.argv.slice(2);
const images = await Promise.all(files.map(async (file) => ({ file, ...(await sharp(file).metadata()) })));
const height = Math.max(...images.map((one) => one.height));
const width = images.reduce((sum, one) => sum + one.width + 12, 0);
let left = 0;
const layers = images.map(({ file, width }) => {
  const layer = { input: file, left, top: 0 };
  left += width + 12;
  return layer;
});
await sharp({ create: { width, height, channels: 3, background: "#777" } })
  .composite(layers)
  .png()
  .toFile(out);
