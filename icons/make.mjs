/**
 * Makes every icon from `icon.svg`: `npm run icons` in `app/`. What comes out is committed, so that
 * nobody needs this to build.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
/** Where the projects for phones look for them. */
const android = "../src-tauri/gen/android/app/src/main/res";
const apple = "../src-tauri/gen/apple/Assets.xcassets/AppIcon.appiconset";
const sharp = createRequire(join(here, "../app/package.json"))("sharp");

const source = readFileSync(join(here, "icon.svg"), "utf8");
/** Phones cut the ground into their own shape: it must reach to the edge. */
const square = source.replace(' rx="228"', "");
/** Of Android's adaptive icon only the middle two thirds are surely seen. */
const shrink = (svg) => svg.replace('<g id="mark">', '<g id="mark" transform="translate(512 512) scale(0.72) translate(-512 -512)">');
const without = (svg, id) => svg.replace(new RegExp(`<(rect|circle) id="${id}"[^>]*/>`), "");
const round = source.replace(' rx="228"', ' rx="512"');
/** In a tray a drawing has one colour, and no ground. */
const tray = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1024 1024"><g fill="none" stroke="#fff" stroke-width="92">
  <circle cx="372" cy="512" r="260"/><circle cx="652" cy="512" r="260"/></g></svg>`;

async function png(svg, size) {
  return sharp(Buffer.from(svg), { density: Math.max(72, (size * 72) / 256) })
    .resize(size, size)
    .ensureAlpha()
    .png({ compressionLevel: 9, palette: false })
    .toBuffer();
}

async function opaque(size) {
  return sharp(await png(square, size)).removeAlpha().png({ compressionLevel: 9 }).toBuffer();
}

function put(path, bytes) {
  mkdirSync(dirname(join(here, path)), { recursive: true });
  writeFileSync(join(here, path), bytes);
}

/** Microsoft's container: a directory of PNG pictures. */
function ico(pictures) {
  const header = Buffer.alloc(6 + 16 * pictures.length);
  header.writeUInt16LE(1, 2);
  header.writeUInt16LE(pictures.length, 4);
  let offset = header.length;
  pictures.forEach(({ size, bytes }, i) => {
    const at = 6 + 16 * i;
    header.writeUInt8(size % 256, at);
    header.writeUInt8(size % 256, at + 1);
    header.writeUInt16LE(1, at + 4);
    header.writeUInt16LE(32, at + 6);
    header.writeUInt32LE(bytes.length, at + 8);
    header.writeUInt32LE(offset, at + 12);
    offset += bytes.length;
  });
  return Buffer.concat([header, ...pictures.map(({ bytes }) => bytes)]);
}

/** Apple's container: pictures under four letters each. */
function icns(pictures) {
  const parts = pictures.map(({ type, bytes }) => {
    const head = Buffer.alloc(8);
    head.write(type, 0, "ascii");
    head.writeUInt32BE(bytes.length + 8, 4);
    return Buffer.concat([head, bytes]);
  });
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(8);
  head.write("icns", 0, "ascii");
  head.writeUInt32BE(body.length + 8, 4);
  return Buffer.concat([head, body]);
}

rmSync(join(here, apple), { recursive: true, force: true });

for (const [name, size] of [
  ["32x32.png", 32],
  ["64x64.png", 64],
  ["128x128.png", 128],
  ["128x128@2x.png", 256],
  ["icon.png", 512],
  ["Square30x30Logo.png", 30],
  ["Square44x44Logo.png", 44],
  ["Square71x71Logo.png", 71],
  ["Square89x89Logo.png", 89],
  ["Square107x107Logo.png", 107],
  ["Square142x142Logo.png", 142],
  ["Square150x150Logo.png", 150],
  ["Square284x284Logo.png", 284],
  ["Square310x310Logo.png", 310],
  ["StoreLogo.png", 50],
]) {
  put(name, await png(source, size));
}
put("tray.png", await png(tray, 44));

// The 32 px one first: that is what a window shows while it is developed.
const small = await Promise.all([32, 16, 24, 48, 64, 256].map(async (size) => ({ size, bytes: await png(source, size) })));
put("icon.ico", ico(small));

const mac = [
  ["icp4", 16],
  ["icp5", 32],
  ["ic07", 128],
  ["ic08", 256],
  ["ic09", 512],
  ["ic10", 1024],
  ["ic11", 32],
  ["ic12", 64],
  ["ic13", 256],
  ["ic14", 512],
];
// On a Mac an icon's ground leaves a margin around itself.
const margin = source.replace('viewBox="0 0 1024 1024"', 'viewBox="-124 -124 1272 1272"');
put("icon.icns", icns(await Promise.all(mac.map(async ([type, size]) => ({ type, bytes: await png(margin, size) })))));

for (const [density, scale] of Object.entries({ mdpi: 1, hdpi: 1.5, xhdpi: 2, xxhdpi: 3, xxxhdpi: 4 })) {
  const folder = `${android}/mipmap-${density}`;
  put(`${folder}/ic_launcher.png`, await png(source, 48 * scale));
  put(`${folder}/ic_launcher_round.png`, await png(round, 48 * scale));
  put(`${folder}/ic_launcher_foreground.png`, await png(shrink(without(source, "ground")), 108 * scale));
}
put(
  `${android}/values/ic_launcher_background.xml`,
  '<?xml version="1.0" encoding="utf-8"?>\n<resources>\n  <color name="ic_launcher_background">#0b2b31</color>\n</resources>\n',
);
for (const name of ["ic_launcher", "ic_launcher_round"]) {
  put(
    `${android}/mipmap-anydpi-v26/${name}.xml`,
    '<?xml version="1.0" encoding="utf-8"?>\n<adaptive-icon xmlns:android="http://schemas.android.com/apk/res/android">\n  <background android:drawable="@color/ic_launcher_background"/>\n  <foreground android:drawable="@mipmap/ic_launcher_foreground"/>\n</adaptive-icon>\n',
  );
}

// Points and scales as Xcode asks for them, for each kind of device; none may be transparent. The
// names are those that `tauri ios init` would give its own.
const images = [];
for (const [idiom, sizes] of Object.entries({
  iphone: { 20: ["2x", "3x"], 29: ["2x-1", "3x"], 40: ["2x", "3x"], 60: ["2x", "3x"] },
  ipad: { 20: ["1x", "2x-1"], 29: ["1x", "2x"], 40: ["1x", "2x-1"], 76: ["1x", "2x"], 83.5: ["2x"] },
})) {
  for (const [points, names] of Object.entries(sizes)) {
    for (const name of names) {
      const scale = Number.parseInt(name, 10);
      const filename = `AppIcon-${points}x${points}@${name}.png`;
      put(`${apple}/${filename}`, await opaque(points * scale));
      images.push({ size: `${points}x${points}`, idiom, filename, scale: `${scale}x` });
    }
  }
}
put(`${apple}/AppIcon-512@2x.png`, await opaque(1024));
images.push({ size: "1024x1024", idiom: "ios-marketing", filename: "AppIcon-512@2x.png", scale: "1x" });
const contents = { images, info: { version: 1, author: "xcode" } };
put(`${apple}/Contents.json`, `${JSON.stringify(contents, null, 2)}\n`);
