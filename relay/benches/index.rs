//! The proximity index: how long a query takes, and a move, among so and so many people.
//!
//! Everywhere people stand equally close: 81 a square kilometre, which puts 188 people on average in
//! range of one when radii are mixed evenly from 100 to 2,000 m.

use std::{f64::consts::TAU, hint::black_box};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use neartalk_relay::room::index::GridIndex;
use neartalk_shared::{Place, Radius, Spot};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};

/// People a square metre.
const DENSITY: f64 = 81e-6;
/// How far a move leads, in metres.
const STEP_M: f64 = 150.0;
/// How many different people are asked about, or move, at most.
const SAMPLE: usize = 100_000;

/// So many people, spread evenly over a disc.
fn people(rng: &mut impl Rng, count: usize) -> Vec<(Place, Radius)> {
    let middle = Place::new(52.52, 13.405).expect("a place");
    let disc_m = (count as f64 / DENSITY / std::f64::consts::PI).sqrt();
    (0..count)
        .map(|_| {
            let distance = disc_m * rng.random_range(0.0..1.0_f64).sqrt();
            let place = middle.destination(rng.random_range(0.0..TAU), distance);
            let radius = Radius::new(rng.random_range(100..=2_000)).expect("a radius");
            (place, radius)
        })
        .collect()
}

fn bench(criterion: &mut Criterion) {
    for count in [1_000, 10_000, 100_000, 1_000_000] {
        let mut rng = StdRng::seed_from_u64(20);
        let people = people(&mut rng, count);
        let spots: Vec<_> = people
            .iter()
            .map(|&(place, radius)| Spot::new(place, radius))
            .collect();
        let mut index = GridIndex::default();
        for (item, spot) in (0..).zip(&spots) {
            index.insert(item, spot);
        }
        let mut order: Vec<_> = (0..count).collect();
        order.shuffle(&mut rng);
        order.truncate(SAMPLE);

        let mut found = 0_usize;
        for &item in &order {
            index.in_range(&spots[item], |_, _| found += 1);
        }
        // Everyone finds themselves as well.
        let average = found as f64 / order.len() as f64 - 1.0;
        println!("{count} people: {average:.1} in range on average");

        let mut group = criterion.benchmark_group("query");
        let mut next = order.iter().cycle();
        group.bench_function(BenchmarkId::new("index", count), |bencher| {
            bencher.iter(|| {
                let item = *next.next().unwrap_or(&0);
                let mut sum = 0_u64;
                index.in_range(&spots[item], |item, band| {
                    sum += u64::from(item) + u64::from(band.min);
                });
                black_box(sum)
            });
        });
        // The control, where it does not take for ever.
        if count == 1_000 {
            let mut next = order.iter().cycle();
            group.bench_function(BenchmarkId::new("brute force", count), |bencher| {
                bencher.iter(|| {
                    let item = *next.next().unwrap_or(&0);
                    let mut sum = 0_u64;
                    for (other, spot) in (0_u64..).zip(&spots) {
                        if let Some(band) = spots[item].band_in_range(spot) {
                            sum += other + u64::from(band.min);
                        }
                    }
                    black_box(sum)
                });
            });
        }
        group.finish();

        // Everyone walks to and fro, in random order.
        let moves: Vec<_> = order
            .iter()
            .map(|&item| {
                let (place, radius) = people[item];
                let there = place.destination(rng.random_range(0.0..TAU), STEP_M);
                (item as u32, [Spot::new(there, radius), spots[item]])
            })
            .collect();
        let mut next = (0..2)
            .cycle()
            .flat_map(|way| moves.iter().map(move |(item, spots)| (*item, &spots[way])));
        criterion.benchmark_group("move").bench_function(
            BenchmarkId::new("index", count),
            |bencher| {
                bencher.iter(|| {
                    if let Some((item, spot)) = next.next() {
                        index.insert(item, black_box(spot));
                    }
                });
            },
        );
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_secs(1))
        .measurement_time(std::time::Duration::from_secs(3));
    targets = bench
}
criterion_main!(benches);
