import { describe, expect, it, vi } from "vitest";
import { DEFAULT_LIMITS } from "../state/state";
import {
  countWithin,
  firstWithPeople,
  radiusOf,
  rimAt,
  ringAt,
  ringsWithin,
  STEPS,
  spread,
  stepAt,
  stepOf,
} from "./circle";
import { band, clockIn, distance, remaining } from "./format";
import { glyphOf, MARKS, SHAPES, tagOf } from "./glyph";
import { matching, mentionAt, mentions } from "./mentions";
import {
  cityNear,
  findCities,
  formatPoint,
  metresBetween,
  parsePoint,
  plain,
  project,
  unproject,
} from "./place";
import { addressParts, isEmojiOnly, lengthOf, pieces, quoteOf, splitQuote, withoutGaps } from "./text";
import { isUsername } from "./username";

it("a time of another day says which day", () => {
  vi.useFakeTimers({ now: new Date(2026, 10, 25, 14, 0) });
  expect(clockIn(30 * 60_000, "en")).toMatch(/^2:30\sPM$/);
  expect(clockIn(3 * 86_400_000, "en")).toMatch(/^Saturday, November 28 at 2:00/);
  expect(clockIn(11 * 3_600_000, "de")).toMatch(/Donnerstag, 26\. November um 0?1:00/);
  vi.useRealTimers();
});

it("of an address all is shown, and the host is the one that is reached", () => {
  for (const [before, host, after] of [
    ["https://", "example.org", "/to?at=https://example.org/again"],
    ["https://", "example.org", ""],
    ["https://example.org:secret@", "other.example:8443", "/#example.org"],
    ["https://", "http", "/"],
    ["http://", "[2001:db8::1]:8080", "?x=a@b"],
  ] as const) {
    expect(addressParts(before + host + after)).toEqual({ before, host, after });
  }
});

it("empty lines are few, however many were sent", () => {
  expect(withoutGaps(`a${"\n".repeat(400)}b`)).toBe("a\n\nb");
  expect(withoutGaps("a\n\nb\nc")).toBe("a\n\nb\nc");
});

const person = (min: number) => ({
  peer_id: String(min),
  username: "x",
  former_usernames: [],
  distance: { min, max: min + 50 },
  in_voice: false,
  muted: false,
  deafened: false,
});

describe("the circle", () => {
  it("snaps to its steps", () => {
    expect(STEPS.map((step) => radiusOf(stepOf(step)))).toEqual([...STEPS]);
    expect(radiusOf(stepOf(620))).toBe(500);
    expect(radiusOf(99)).toBe(2_000);
  });

  it("has a rim that is where it is taken, at each step", () => {
    for (let step = 0; step < STEPS.length; step += 1) expect(stepAt(rimAt(step))).toBe(step);
    expect(stepAt(0)).toBe(0);
    expect(stepAt(5)).toBe(STEPS.length - 1);
  });

  it("draws what is further away further out, and nobody beyond the rim", () => {
    expect(ringAt(100, 500)).toBeLessThan(ringAt(200, 500));
    expect(ringAt(900, 500)).toBe(1);
  });

  it("draws few rings, all inside", () => {
    for (const radius of STEPS) {
      const rings = ringsWithin(radius, 3);
      expect(rings.length).toBeLessThanOrEqual(3);
      expect(rings.every((ring) => ring < radius)).toBe(true);
    }
  });

  it("counts exactly where the relay did, and between bounds elsewhere", () => {
    const present = { radius: 500, people: [person(0), person(150), person(400)] };
    const reach = [100, 250, 500, 1000, 2000].map((radius, i) => ({
      radius,
      count: [1, 2, 3, 8, 20][i] ?? 0,
    }));
    expect(countWithin(500, present, reach)).toEqual({ min: 3, max: 3 });
    expect(countWithin(1000, present, reach)).toEqual({ min: 8, max: 8 });
    expect(countWithin(750, present, reach)).toEqual({ min: 3, max: 8 });
    expect(countWithin(1500, present, reach)).toEqual({ min: 8, max: 20 });
    // Somebody in the band 150–200 m is surely within 200 m.
    expect(countWithin(200, present, reach)).toEqual({ min: 2, max: 2 });
    expect(countWithin(750, present, [])).toEqual({ min: 3, max: 3 });
  });

  it("knows where somebody is", () => {
    const reach = [
      { radius: 500, count: 2 },
      { radius: 1000, count: 2 },
      { radius: 2000, count: 5 },
    ];
    expect(firstWithPeople(500, reach)).toEqual({ radius: 1000, count: 2 });
    expect(firstWithPeople(2000, reach)).toBeNull();
  });
});

describe("signs in the circle", () => {
  const one = (id: string, angle: number, at = 60) => ({ id, angle, at });

  it("stay where they are while nobody is in the way", () => {
    const people = [one("A", 0.1), one("B", 2), one("C", 0.1, 20)];
    expect(spread(people, 16)).toEqual(
      new Map([
        ["A", 0.1],
        ["B", 2],
        ["C", 0.1],
      ]),
    );
  });

  it("do not cover each other, whoever comes first", () => {
    const people = Array.from({ length: 12 }, (_, i) => one(`${i}`, 1 + i * 0.01));
    const angles = spread(people, 16);
    const spots = people.map(({ id, at }) => {
      const angle = angles.get(id) ?? 0;
      return [Math.cos(angle) * at, Math.sin(angle) * at] as const;
    });
    for (const [i, [x, y]] of spots.entries()) {
      for (const [ox, oy] of spots.slice(i + 1)) {
        expect(Math.hypot(x - ox, y - oy)).toBeGreaterThanOrEqual(16);
      }
    }
    expect(spread([...people].reverse(), 16)).toEqual(angles);
  });

  it("are all there where there is no room", () => {
    const people = Array.from({ length: 80 }, (_, i) => one(`${i}`, 1, 20));
    expect(spread(people, 16).size).toBe(80);
  });
});

describe("glyphs", () => {
  const ids = Array.from({ length: 2_000 }, (_, i) => `${i.toString(32).toUpperCase()}PEER`.padEnd(26, "X"));

  it("are the same each time", () => {
    for (const id of ids.slice(0, 50)) expect(glyphOf(id)).toEqual(glyphOf(id));
  });

  it("use every shape and mark about equally, so that colour is not needed", () => {
    const counts = new Map<string, number>();
    for (const id of ids) {
      const { shape, mark } = glyphOf(id);
      counts.set(`${shape}/${mark}`, (counts.get(`${shape}/${mark}`) ?? 0) + 1);
    }
    expect(counts.size).toBe(SHAPES.length * MARKS.length);
    const fair = ids.length / counts.size;
    expect(Math.max(...counts.values())).toBeLessThan(fair * 2);
  });

  it("stand all around", () => {
    const quarters = [0, 0, 0, 0];
    for (const id of ids) {
      const quarter = Math.floor((glyphOf(id).angle / (2 * Math.PI)) * 4);
      quarters[quarter] = (quarters[quarter] ?? 0) + 1;
    }
    for (const count of quarters) expect(count).toBeGreaterThan(ids.length / 5);
  });

  it("go with a tag", () => expect(tagOf("7K3ABC")).toBe("7K3"));
});

describe("mentions", () => {
  it("are whole names", () => {
    expect(mentions("Hi @Blue Fox", "Blue Fox")).toBe(true);
    expect(mentions("Hi @BLUE FOX.", "Blue Fox")).toBe(true);
    expect(mentions("Hi @Blue Foxes", "Blue Fox")).toBe(false);
    expect(mentions("mail@Blue Fox", "Blue Fox")).toBe(false);
    expect(mentions("@Blue Foxes and @Blue Fox", "Blue Fox")).toBe(true);
  });

  it("are offered while they are typed", () => {
    expect(mentionAt("hello @bl", 9)).toEqual({ start: 6, query: "bl" });
    expect(mentionAt("hello @", 7)).toEqual({ start: 6, query: "" });
    expect(mentionAt("a@b", 3)).toBeNull();
    expect(mentionAt("@fox, and", 9)).toBeNull();
    const people = [{ username: "Blue Fox" }, { username: "Fond Owl" }, { username: "Green Bee" }];
    expect(matching(people, "fo", 5).map((p) => p.username)).toEqual(["Blue Fox", "Fond Owl"]);
  });
});

describe("texts", () => {
  it("show links, without the sentence around them", () => {
    expect(pieces("see https://example.org/a(b). Or (http://x.org)!", [], null)).toEqual([
      { kind: "text", text: "see " },
      { kind: "link", text: "https://example.org/a(b)", url: "https://example.org/a(b)" },
      { kind: "text", text: ". Or (" },
      { kind: "link", text: "http://x.org", url: "http://x.org/" },
      { kind: "text", text: ")!" },
    ]);
  });

  it("make no link of anything that could run", () => {
    expect(pieces("javascript:alert(1) data:text/html,x", [], null).every((p) => p.kind === "text")).toBe(
      true,
    );
  });

  it("show mentions, of the longest name that fits", () => {
    expect(pieces("@Blue Fox Cub: hi", ["Blue Fox", "Blue Fox Cub"], "Otter")).toEqual([
      { kind: "mention", text: "@Blue Fox Cub", own: false },
      { kind: "text", text: ": hi" },
    ]);
    expect(pieces("@otter", [], "Otter")).toEqual([{ kind: "mention", text: "@otter", own: true }]);
  });

  it("carry a reply's quote that comes back out, and quote no quotes", () => {
    const reply = `${quoteOf("Blue Fox", "Two\nlines")}Yes`;
    expect(splitQuote(reply)).toEqual({ author: "Blue Fox", quote: "Two lines", rest: "Yes" });
    expect(quoteOf("Owl", reply)).toBe("> Owl: Yes\n");
    expect(lengthOf(quoteOf("Owl", "x".repeat(400)))).toBeLessThan(100);
  });

  it("that are nothing but a quote are text", () => {
    expect(splitQuote("> alone").rest).toBe("> alone");
  });

  it("a few emoji and nothing else are to be looked at", () => {
    for (const text of ["🎉", "👍🏽 👩‍👩‍👧", "🇩🇪🇫🇷", "❤️", " 😀😀😀😀😀😀 "])
      expect(isEmojiOnly(text)).toBe(true);
    for (const text of ["", "  ", "1", "*", "🎉 now", "😀😀😀😀😀😀😀"])
      expect(isEmojiOnly(text)).toBe(false);
  });

  it("are counted as the relay does: characters, not bytes", () => {
    expect(lengthOf("  👋é \n")).toBe(2);
  });
});

describe("names", () => {
  it("are letters and digits of any script with single spaces", () => {
    for (const name of ["Quiet Otter", "क्यारा", "ثعلب أزرق", "Zoë 7"]) {
      expect(isUsername(name, DEFAULT_LIMITS)).toBe(true);
    }
    for (const name of ["ab", "a  b c", " abc", "abc ", "a_b_c", "x".repeat(21), "ab!"]) {
      expect(isUsername(name, DEFAULT_LIMITS)).toBe(false);
    }
  });
});

describe("places", () => {
  it("are read as people write them", () => {
    expect(parsePoint("52.5230, 13.4140")).toEqual({ lat: 52.523, lon: 13.414 });
    expect(parsePoint("geo:-33.9,18.4")).toEqual({ lat: -33.9, lon: 18.4 });
    expect(parsePoint("33.9 S 18.4 E")).toEqual({ lat: -33.9, lon: 18.4 });
    for (const wrong of ["", "Berlin", "95, 10", "10, 190", "1"]) expect(parsePoint(wrong)).toBeNull();
  });

  it("come back from the map", () => {
    for (const point of [
      { lat: 52.5, lon: 13.4 },
      { lat: -33.9, lon: -179.9 },
    ]) {
      expect(formatPoint(unproject(...project(point)))).toBe(formatPoint(point));
    }
  });

  it("are named after the city they are near", () => {
    const city = (name: string, lat: number, lon: number) => ({
      name,
      country: "DE",
      lat,
      lon,
      plain: plain(name),
    });
    const cities = [city("Berlin", 52.524, 13.411), city("Köln", 50.933, 6.95), city("Bad Berlin", 1, 1)];
    expect(cityNear(cities, { lat: 52.6, lon: 13.4 })?.name).toBe("Berlin");
    expect(cityNear(cities, { lat: 0, lon: 0 })).toBeNull();
    expect(findCities(cities, "kol", 5).map((c) => c.name)).toEqual(["Köln"]);
    expect(findCities(cities, "berlin", 5).map((c) => c.name)).toEqual(["Berlin", "Bad Berlin"]);
    expect(metresBetween({ lat: 52.5, lon: 13.4 }, { lat: 52.5, lon: 13.4 })).toBe(0);
  });
});

describe("numbers", () => {
  it("are written as each language does", () => {
    expect(distance(500, "en")).toBe("500 m");
    expect(distance(1_500, "de")).toBe("1,5 km");
    expect(band({ min: 100, max: 150 }, "en")).toBe("100 – 150 m".replaceAll(" – ", "–"));
    expect(remaining(4_200, "en")).toBe("5 sec");
    expect(remaining(61_000, "en")).toBe("2 min");
  });
});
