//! On which servers people meet who are on different relays.

use std::net::SocketAddr;

use neartalk_shared::Spot;
use sha2::{Digest, Sha256};

use crate::store::region::Region;

/// Characters of a geohash that make an area, 39 km wide and 20 km high at the equator: large, so that few
/// circles touch two, and small, so that a country has many.
const AREA_CHARS: usize = 4;

/// Servers for the area that somebody is in: two, so that they still share one with those who are told
/// just before or after a server comes or goes.
const AT_HOME: usize = 2;

/// Servers for each other area that their circle touches.
const NEXT_DOOR: usize = 1;

/// The area that somebody is in, and then those in which people may be whom they can meet.
pub fn areas(spot: &Spot) -> Vec<String> {
    let area = |region: Region| {
        let mut name = region.name();
        name.truncate(AREA_CHARS);
        name
    };
    let mut areas = vec![area(Region::containing(spot.centre()))];
    for touched in Region::around(spot).into_iter().map(area) {
        if !areas.contains(&touched) {
            areas.push(touched);
        }
    }
    areas
}

/// Which of the servers, by number, somebody is to use for these areas. Every relay that knows the same
/// servers chooses the same ones, in whatever order it knows them.
pub fn choose(areas: &[String], servers: &[SocketAddr]) -> Vec<usize> {
    let mut chosen = Vec::new();
    for (n, area) in areas.iter().enumerate() {
        let mut ranked: Vec<_> = (0..servers.len()).collect();
        ranked.sort_by_cached_key(|&server| weight(area, servers[server]));
        let most = if n == 0 { AT_HOME } else { NEXT_DOOR };
        for server in ranked.into_iter().rev().take(most) {
            if !chosen.contains(&server) {
                chosen.push(server);
            }
        }
    }
    chosen
}

/// The highest wins, as rendezvous hashing has it.
fn weight(area: &str, server: SocketAddr) -> [u8; 32] {
    Sha256::new()
        .chain_update(area)
        .chain_update(server.to_string())
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use neartalk_shared::{Place, Radius};
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    use super::*;

    fn spot(lat: f64, lon: f64, metres: u32) -> Spot {
        Spot::new(Place::new(lat, lon).unwrap(), Radius::new(metres).unwrap())
    }

    fn servers(count: u8) -> Vec<SocketAddr> {
        let address = |n| SocketAddr::from(([192, 0, 2, n], 3_478));
        (0..count).map(address).collect()
    }

    fn chosen(areas: &[String], servers: &[SocketAddr]) -> BTreeSet<SocketAddr> {
        choose(areas, servers)
            .into_iter()
            .map(|n| servers[n])
            .collect()
    }

    #[test]
    fn whoever_can_meet_shares_a_server_even_while_one_comes_or_goes() {
        let mut rng = StdRng::seed_from_u64(3);
        let all = servers(20);
        let (mut pairs, mut told) = (0, 0);
        for _ in 0..2_000 {
            let (lat, lon) = (
                rng.random_range(-89.9..89.9),
                rng.random_range(-180.0..180.0),
            );
            let fox = spot(lat, lon, rng.random_range(100..=2_000));
            let north = lat + rng.random_range(-0.02..0.02);
            let west = lon + rng.random_range(-0.02..0.02) / lat.to_radians().cos();
            let west = (west + 540.0).rem_euclid(360.0) - 180.0;
            let owl = spot(
                north.clamp(-90.0, 90.0),
                west,
                rng.random_range(100..=2_000),
            );
            if !fox.in_range(&owl) {
                continue;
            }
            let [mine, theirs] = [&fox, &owl].map(areas);
            pairs += 1;
            told += choose(&mine, &all).len();
            let mut other_order = all.clone();
            other_order.reverse();
            let of_fox = chosen(&mine, &all);
            assert!(!of_fox.is_disjoint(&chosen(&theirs, &other_order)));
            // To those in the same area a relay may have told of one server less, or more.
            if mine[0] == theirs[0] {
                for gone in 0..all.len() {
                    let mut fewer = all.clone();
                    fewer.remove(gone);
                    assert!(!of_fox.is_disjoint(&chosen(&theirs, &fewer)));
                }
            }
        }
        // More would be asked for addresses for nothing.
        assert!(
            pairs > 200 && told < 3 * pairs,
            "{told} servers, {pairs} pairs"
        );
    }

    #[test]
    fn servers_share_the_areas() {
        let all = servers(10);
        let mut counts = [0; 10];
        for row in 0..40 {
            for column in 0..40 {
                let here = spot(f64::from(row) - 20.0, f64::from(column), 100);
                counts[choose(&areas(&here)[..1], &all)[0]] += 1;
            }
        }
        assert!(
            counts.iter().all(|count| (100..230).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn a_server_alone_is_chosen_once() {
        let here = areas(&spot(0.0, 0.0, 2_000));
        assert_eq!(here.len(), 4, "at the corner of four areas: {here:?}");
        assert_eq!(choose(&here, &servers(1)), [0]);
        assert_eq!(choose(&here, &[]), [0; 0]);
    }
}
