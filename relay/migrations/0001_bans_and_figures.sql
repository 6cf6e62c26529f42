-- Who may not come back for a time. `digest` is HMAC-SHA256 of an IPv4 /32 or IPv6 /64 under `key`,
-- cut to 16 bytes. A row goes with its ban, and its key with it.
CREATE TABLE bans (
    id text PRIMARY KEY,
    key bytea NOT NULL,
    digest bytea NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    banned_by text NOT NULL
);

CREATE INDEX bans_until ON bans (until);

-- What one run of one relay saw in an hour and an area, where at least 10 people were.
CREATE TABLE area_hours (
    hour timestamptz NOT NULL,
    geohash text NOT NULL,
    run text NOT NULL,
    people integer NOT NULL,
    messages bigint NOT NULL,
    voice_minutes double precision NOT NULL,
    PRIMARY KEY (hour, geohash, run)
);

-- The same of all relays together.
CREATE VIEW hourly AS
SELECT hour, geohash, sum(people) AS people, sum(messages) AS messages,
       sum(voice_minutes) AS voice_minutes
FROM area_hours
GROUP BY hour, geohash;
