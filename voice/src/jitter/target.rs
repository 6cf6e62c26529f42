//! How long sound should be held back: the relative delay that nearly all packets stay below.

use std::collections::VecDeque;

use super::{JitterConfig, MS, Samples, to_samples};

/// Of this share of the packets, each should be in time.
const IN_TIME: f32 = 0.97;
/// Of this share of the frames, each should be had one way or another, if waiting for redundancy can
/// do it: the rest is left to concealment.
const RECOVERED: f32 = 0.995;
/// And it is waited for until this share would be had without: what comes now and then comes again, and to
/// go back and forth is heard more than to stay.
const RECOVERED_SOONER: f32 = 0.999;

const DELAY_BUCKET: Samples = 5 * MS;
const DELAY_BUCKETS: usize = 120;
const AHEAD_BUCKET: Samples = 10 * MS;
/// Waiting more than 100 ms for redundancy is worse than the loss.
const AHEAD_BUCKETS: usize = 11;

/// What is remembered of a packet when the next one has come. 500 packets make a memory: fifteen bad
/// ones are enough to be heeded, and half a minute of good ones to be forgiven.
const MEMORY: f32 = 0.998;

/// A packet this much beyond the target is a peak of its own.
const PEAK: Samples = 30 * MS;
/// Peaks closer than this are one.
const PEAK_APART: Samples = 300 * MS;
/// A network that has had two peaks within this time will have another.
const PEAK_MEMORY: Samples = 10_000 * MS;
const PEAKS: usize = 16;

const AT_FIRST: Samples = 2_000 * MS;

/// A distribution that forgets.
#[derive(Clone, Debug)]
struct Histogram<const N: usize> {
    /// Sums to 1 once anything was counted.
    share: [f32; N],
    /// How many were counted, up to as many as matter.
    count: u32,
}

impl<const N: usize> Histogram<N> {
    const fn new() -> Self {
        Self {
            share: [0.0; N],
            count: 0,
        }
    }

    fn count(&mut self, bucket: usize) {
        // At first every one counts alike; then the old ones fade.
        let memory = MEMORY.min(self.count as f32 / (self.count + 1) as f32);
        self.count = (self.count + 1).min(100_000);
        for share in &mut self.share {
            *share *= memory;
        }
        self.share[bucket.min(N - 1)] += 1.0 - memory;
    }

    /// The first bucket up to which at least `share` of everything lies.
    fn quantile(&self, share: f32) -> Option<usize> {
        if self.count == 0 {
            return None;
        }
        let mut sum = 0.0;
        self.share
            .iter()
            .position(|s| {
                sum += s;
                sum >= share
            })
            .or(Some(N - 1))
    }

    /// Everything lies `buckets` lower from now on.
    fn lower(&mut self, buckets: usize) {
        let buckets = buckets.min(N - 1);
        let below: f32 = self.share[..buckets].iter().sum();
        self.share.copy_within(buckets.., 0);
        self.share[N - buckets..].fill(0.0);
        self.share[0] += below;
    }
}

/// Estimates the target.
#[derive(Clone, Debug)]
pub(super) struct Target {
    least: Samples,
    most: Samples,
    at_first: Samples,
    since: Option<Samples>,
    delays: Histogram<DELAY_BUCKETS>,
    ahead: Histogram<AHEAD_BUCKETS>,
    /// The bucket of `ahead` up to which redundancy is waited for.
    waited: usize,
    /// When, and how high.
    peaks: VecDeque<(Samples, Samples)>,
    /// Without peaks and the first seconds' caution.
    steady: Samples,
}

impl Target {
    pub(super) fn new(config: JitterConfig) -> Self {
        let least = to_samples(config.least);
        Self {
            least,
            most: to_samples(config.most).max(least),
            at_first: to_samples(config.at_first),
            since: None,
            delays: Histogram::new(),
            ahead: Histogram::new(),
            waited: 0,
            peaks: VecDeque::with_capacity(PEAKS),
            steady: least,
        }
    }

    /// What it is at least in the first seconds, known better now.
    pub(super) fn set_at_first(&mut self, at_first: Samples) {
        self.at_first = at_first;
    }

    /// A packet came with this relative delay.
    pub(super) fn delayed(&mut self, now: Samples, relative: Samples) {
        self.since.get_or_insert(now);
        if relative > self.steady + PEAK {
            self.peak(now, relative);
        }
        self.delays.count((relative / DELAY_BUCKET) as usize);
        self.update();
    }

    /// A frame could first be had this much later than from its own packet: 0 if from that.
    pub(super) fn recovered(&mut self, distance: Samples) {
        self.ahead.count((distance / AHEAD_BUCKET) as usize);
        self.update();
    }

    /// Relative delays are against a base that has just risen by this much.
    pub(super) fn base_rose(&mut self, by: Samples) {
        let buckets = (by / DELAY_BUCKET) as usize;
        // A base that creeps with the jitter is not another path.
        if buckets >= 2 {
            self.delays.lower(buckets);
            self.peaks.clear();
            self.update();
        }
    }

    /// How long sound should be held back.
    pub(super) fn get(&self, now: Samples) -> Samples {
        let recent = |at: Samples| now - at < PEAK_MEMORY;
        let (count, highest) = self
            .peaks
            .iter()
            .filter(|&&(at, _)| recent(at))
            .fold((0, 0), |(n, most), &(_, height)| (n + 1, height.max(most)));
        let peaks = if count >= 2 { highest } else { 0 };
        let young = self.since.is_none_or(|since| now - since < AT_FIRST);
        let at_first = if young { self.at_first } else { 0 };
        self.steady
            .max(peaks)
            .max(at_first)
            .clamp(self.least, self.most)
    }

    fn update(&mut self) {
        // A delay lies anywhere in its bucket: the upper edge covers it.
        let delay = self
            .delays
            .quantile(IN_TIME)
            .map_or(0, |b| (b as Samples + 1) * DELAY_BUCKET);
        let bucket = |share| self.ahead.quantile(share).unwrap_or_default();
        self.waited = self
            .waited
            .clamp(bucket(RECOVERED), bucket(RECOVERED_SOONER));
        let ahead = self.waited as Samples * AHEAD_BUCKET;
        self.steady = (delay.max(self.least) + ahead).min(self.most);
    }

    fn peak(&mut self, now: Samples, height: Samples) {
        if let Some((at, highest)) = self.peaks.back_mut()
            && now - *at < PEAK_APART
        {
            *highest = height.max(*highest);
            return;
        }
        if self.peaks.len() == PEAKS {
            self.peaks.pop_front();
        }
        self.peaks.push_back((now, height));
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    use super::*;

    const PACKET: Samples = 20 * MS;

    fn target() -> Target {
        Target::new(JitterConfig::default())
    }

    fn feed(
        target: &mut Target,
        from: Samples,
        count: i64,
        mut delay: impl FnMut() -> Samples,
    ) -> Samples {
        for n in 0..count {
            target.delayed(from + n * PACKET, delay());
            target.recovered(0);
        }
        from + count * PACKET
    }

    #[test]
    fn a_clean_network_needs_the_least_after_the_first_seconds() {
        let mut target = target();
        let now = feed(&mut target, 0, 20, || MS);
        assert_eq!(target.get(now), 20 * MS);
        let now = feed(&mut target, now, 100, || MS);
        assert_eq!(target.get(now), 5 * MS);
    }

    #[test]
    fn covers_nearly_all_of_a_jitter_and_little_more() {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut target = target();
        let now = feed(&mut target, 0, 1_000, || rng.random_range(0..50 * MS));
        let got = target.get(now);
        assert!((48 * MS..=55 * MS).contains(&got), "{} ms", got / MS);
    }

    #[test]
    fn attacks_fast_and_decays_slowly() {
        let mut target = target();
        let calm = feed(&mut target, 0, 1_000, || 0);
        let half_a_second = feed(&mut target, calm, 25, || 38 * MS);
        assert_eq!(target.get(half_a_second), 40 * MS);
        let much = feed(&mut target, half_a_second, 500, || 38 * MS);
        let later = feed(&mut target, much, 100, || 0);
        assert_eq!(target.get(later), 40 * MS, "forgiven within two seconds");
        let minutes = feed(&mut target, later, 4_000, || 0);
        assert_eq!(target.get(minutes), 5 * MS);
    }

    #[test]
    fn two_peaks_announce_a_third_but_one_is_chance() {
        let mut target = target();
        let mut now = feed(&mut target, 0, 200, || MS);
        target.delayed(now, 150 * MS);
        assert_eq!(target.get(now), 5 * MS);
        now = feed(&mut target, now, 200, || MS);
        target.delayed(now, 140 * MS);
        assert_eq!(target.get(now), 150 * MS);
        now = feed(&mut target, now, 550, || MS);
        assert_eq!(target.get(now), 5 * MS);
    }

    #[test]
    fn waits_for_redundancy_only_while_it_is_used() {
        let mut target = target();
        let mut now = feed(&mut target, 0, 500, || MS);
        for n in 0..500 {
            target.delayed(now, MS);
            target.recovered(if n % 10 == 0 { PACKET } else { 0 });
            now += PACKET;
        }
        assert_eq!(target.get(now), 25 * MS);
        now = feed(&mut target, now, 3_000, || MS);
        assert_eq!(target.get(now), 5 * MS);
    }

    #[test]
    fn what_redundancy_brings_now_and_then_is_waited_for_without_going_back_and_forth() {
        let mut rng = SmallRng::seed_from_u64(3);
        let mut target = target();
        // One loss in ten: of a hundred frames one comes with the second copy.
        let mut lost = || rng.random_bool(0.1);
        let (mut now, mut changes, mut last) = (0, 0, 0);
        for n in 0..6_000 {
            target.delayed(now, MS);
            let steps = (0..3).take_while(|_| lost()).count();
            target.recovered(steps as Samples * PACKET);
            now += PACKET;
            let got = target.get(now);
            changes += u32::from(n > 1_000 && got < last);
            last = got;
        }
        assert!(last >= 45 * MS, "{} ms", last / MS);
        assert!(changes <= 3, "lowered {changes} times in 100 s");
    }

    #[test]
    fn a_longer_path_is_no_jitter() {
        let mut target = target();
        let now = feed(&mut target, 0, 500, || MS);
        // The path has become 100 ms longer; two seconds later the base follows.
        let now = feed(&mut target, now, 100, || 101 * MS);
        assert!(target.get(now) >= 100 * MS);
        target.base_rose(100 * MS);
        assert_eq!(target.get(now), 5 * MS);
    }

    #[test]
    fn stays_within_its_bounds() {
        let mut rng = SmallRng::seed_from_u64(2);
        let mut target = target();
        let mut now = 0;
        for _ in 0..10_000 {
            now = feed(&mut target, now, 1, || rng.random_range(0..10_000 * MS));
            target.recovered(rng.random_range(0..10_000 * MS));
            assert!((5 * MS..=400 * MS).contains(&target.get(now)));
        }
    }
}
