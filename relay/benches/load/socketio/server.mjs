// People near each other, as one would do it with socket.io and Redis: places in a sorted set of
// geohashes, and for each message a GEOSEARCH for who is near.
//
// node server.mjs PORT REDIS_URL

import { createServer } from "node:http";
import { Redis } from "ioredis";
import { Server } from "socket.io";

const [port, redisUrl] = process.argv.slice(2);
const PLACES = "places";
// The side of the coarsest cell of places, in metres.
const COARSEST_M = 200;

const redis = new Redis(redisUrl, { enableAutoPipelining: true });
const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  perMessageDeflate: false,
  serveClient: false,
});

/** What Redis does not know of people: by the id of their socket. */
const people = new Map();

/** Everybody who is in range of somebody, by docs/protocol.md. */
async function inRange(id) {
  const { lat, lon, radius, grid } = people.get(id);
  const farthest = Math.max(radius, (grid + COARSEST_M) * Math.SQRT1_2);
  const found = await redis.geosearch(
    PLACES, "FROMLONLAT", lon, lat, "BYRADIUS", farthest, "m", "WITHDIST",
  );
  const others = [];
  for (const [other, metres] of found) {
    const person = people.get(other);
    if (other === id || person === undefined) continue;
    const limit = Math.max(Math.min(radius, person.radius), (grid + person.grid) * Math.SQRT1_2);
    if (Number(metres) <= limit) others.push(other);
  }
  return others;
}

async function tell(socket, event, what) {
  const others = await inRange(socket.id);
  // To no room would be to everybody.
  if (others.length > 0) io.to(others).emit(event, what);
  return others.length;
}

io.on("connection", (socket) => {
  socket.on("locate", async (here, grid, isMove, done) => {
    if (isMove) await tell(socket, "here", here);
    const { lat, lon, radius } = here;
    people.set(socket.id, { lat, lon, radius, grid });
    await redis.geoadd(PLACES, lon, lat, socket.id);
    if (isMove) await tell(socket, "here", here);
    done();
  });
  socket.on("say", async (message, done) => done(await tell(socket, "message", message)));
  socket.on("voice", (here) => tell(socket, "here", here));
  socket.on("signal", (to, signal) => io.to(to).emit("signal", signal));
  socket.on("disconnect", async () => {
    people.delete(socket.id);
    await redis.zrem(PLACES, socket.id);
  });
});

await redis.del(PLACES);
http.listen(Number(port), "127.0.0.1");
