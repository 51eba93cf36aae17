//! Divides a receiver's bandwidth among the sources it wants: which encoding of each it gets.
//!
//! A pure function in the manner of Jitsi's `BandwidthAllocator`, simplified: sources come in
//! order of importance; in rounds each is improved by one encoding while it fits; one on stage
//! jumps at once to the preferred quality, and until it has that, nothing behind it is improved;
//! a screen on stage that stands first may exceed the budget by [`OVERSEND_MAX`]. An encoding
//! larger than the one that is forwarded must fit with [`SPARE_PERCENT`] to spare, and that one
//! may be over by as much, so that a measured rate that wavers does not cost a keyframe each time.
//! What is left to the estimator's own issue: temporal layers as a fast actuator and thumbnails
//! that starve behind an unsatisfied stage. Every decision says its [`Reason`].

use crate::description::{VideoConstraints, VideoType};
use crate::id::SourceKey;
use crate::limits::ENCODINGS_MAX;

/// What is forwarded of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    /// Which of the source's encodings.
    pub(crate) encoding: u8,
    /// The highest temporal layer.
    pub(crate) temporal: u8,
}

/// One quality that a source offers now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Which of the source's encodings.
    pub(crate) encoding: u8,
    /// Lines.
    pub(crate) height: u16,
    /// Bits per second.
    pub(crate) bitrate: u64,
    /// Whether packets of it come.
    pub(crate) live: bool,
}

/// A source that a receiver may get, as [`allocate`] wants to know it.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// Which.
    pub(crate) source: SourceKey,
    /// What it shows.
    pub(crate) video_type: VideoType,
    /// Whether the receiver shows it large.
    pub(crate) on_stage: bool,
    /// Why it is not to be had whatever the budget.
    pub(crate) refusal: Option<Reason>,
    /// The receiver's wish.
    pub(crate) wish: VideoConstraints,
    /// Its qualities, smallest first.
    pub(crate) offers: [Option<Offer>; ENCODINGS_MAX],
    /// The encoding that is forwarded now: a larger one must fit with room to spare.
    pub(crate) current: Option<u8>,
}

/// Why a source is forwarded as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It gets the best that the receiver wants.
    Fits,
    /// The next better encoding needs more than there is, bits per second.
    NoBudget { need: u64, have: u64 },
    /// A screen on stage exceeds the budget, on purpose.
    Oversend,
    /// The receiver does not want it.
    Constraint,
    /// Its owner does not show anything, or a moderator stopped it.
    NotShown,
    /// The receiver does not take its codec.
    Codec,
}

/// The decision on one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allocation {
    /// Which.
    pub(crate) source: SourceKey,
    /// What is forwarded; `None` is nothing.
    pub(crate) target: Option<Layer>,
    /// Lines that the receiver would take whatever the budget; −1 is unlimited.
    pub(crate) wanted_height: i32,
    /// Why.
    pub(crate) reason: Reason,
}

/// Decides on `candidates`, the most important first, within `budget` bits per second (`None` is
/// unlimited). The decisions are added to `out` in the same order.
pub(crate) fn allocate(candidates: &[Candidate], budget: Option<u64>, out: &mut Vec<Allocation>) {
    out.clear();
    out.extend(candidates.iter().map(undecided));
    let budget = budget.unwrap_or(u64::MAX);
    let mut spent: u64 = 0;
    loop {
        let mut changed = false;
        for (at, (candidate, allocation)) in candidates.iter().zip(out.iter_mut()).enumerate() {
            if candidate.refusal.is_some() {
                continue;
            }
            let ladder = Ladder::new(candidate);
            let reached = ladder.place_of(allocation.target);
            let others = spent.saturating_sub(ladder.bitrate(reached));
            let (place, reason) = ladder.improve(reached, budget.saturating_sub(others), at == 0);
            spent = others.saturating_add(ladder.bitrate(place));
            changed |= place != reached;
            allocation.target = place.and_then(|place| ladder.layer(place, candidate.wish));
            allocation.reason = reason;
            if candidate.on_stage && place < Some(ladder.preferred) {
                break;
            }
        }
        if !changed {
            return;
        }
    }
}

fn undecided(candidate: &Candidate) -> Allocation {
    let refused = candidate.refusal.is_some();
    Allocation {
        source: candidate.source,
        target: None,
        wanted_height: if refused {
            0
        } else {
            candidate.wish.max_height
        },
        // Stands only while an unsatisfied stage keeps the rounds from getting here.
        reason: candidate
            .refusal
            .unwrap_or(Reason::NoBudget { need: 0, have: 0 }),
    }
}

/// The offers of a source that suit the receiver, smallest first.
struct Ladder {
    offers: [Option<Offer>; ENCODINGS_MAX],
    length: usize,
    /// The place that one on stage jumps to; 0 for others.
    preferred: usize,
    /// The place that a screen on stage may have beyond the budget.
    oversend: Option<usize>,
}

impl Ladder {
    fn new(candidate: &Candidate) -> Self {
        let any_live = candidate.offers.iter().flatten().any(|offer| offer.live);
        let usable = || {
            let offers = candidate.offers.iter().flatten();
            offers.filter(|offer| offer.live || !any_live)
        };
        let lowest = usable().map(|offer| offer.height).min().unwrap_or(0);
        let max_height = u16::try_from(candidate.wish.max_height).unwrap_or(u16::MAX);
        let mut ladder = Self {
            offers: [None; ENCODINGS_MAX],
            length: 0,
            preferred: 0,
            oversend: None,
        };
        for offer in usable() {
            if offer.height <= max_height || offer.height == lowest {
                ladder.push(with_spare(*offer, candidate.current));
            }
        }
        let is_camera = candidate.video_type == VideoType::Camera;
        let preferred_height = if is_camera && max_height > 180 {
            PREFERRED_HEIGHT.max(lowest)
        } else {
            u16::MAX
        };
        if candidate.on_stage {
            let rungs = ladder.offers.iter().flatten();
            let preferred = rungs.filter(|offer| offer.height <= preferred_height);
            ladder.preferred = preferred.count().saturating_sub(1);
            ladder.oversend = ladder.length.checked_sub(1).filter(|_| !is_camera);
        }
        ladder
    }

    fn push(&mut self, offer: Offer) {
        if let Some(place) = self.offers.get_mut(self.length) {
            *place = Some(offer);
            self.length += 1;
        }
    }

    fn offer(&self, place: usize) -> Option<Offer> {
        self.offers.get(place).copied().flatten()
    }

    fn bitrate(&self, place: Option<usize>) -> u64 {
        let offer = place.and_then(|place| self.offer(place));
        offer.map_or(0, |offer| offer.bitrate)
    }

    fn place_of(&self, target: Option<Layer>) -> Option<usize> {
        let target = target?;
        let mut offers = self.offers.iter().flatten();
        offers.position(|offer| offer.encoding == target.encoding)
    }

    fn layer(&self, place: usize, wish: VideoConstraints) -> Option<Layer> {
        self.offer(place).map(|offer| Layer {
            encoding: offer.encoding,
            temporal: temporal_layer(wish.max_frame_rate),
        })
    }

    /// One step up from `reached`, and why there are no more.
    fn improve(
        &self,
        reached: Option<usize>,
        available: u64,
        is_first: bool,
    ) -> (Option<usize>, Reason) {
        let fits = |place: usize| {
            self.offer(place)
                .is_some_and(|offer| offer.bitrate <= available)
        };
        let mut place = reached;
        let next = reached.map_or(0, |place| place + 1);
        let last_wish = match reached {
            None => self.preferred,
            Some(_) => next,
        };
        for step in next..=last_wish {
            if !fits(step) {
                break;
            }
            place = Some(step);
        }
        // An encoding that costs no more than a smaller one is taken instead of it.
        while let Some(at) = place
            && let (Some(here), Some(above)) = (self.offer(at), self.offer(at + 1))
            && above.bitrate <= here.bitrate
        {
            place = Some(at + 1);
        }
        let above = self.offer(place.map_or(0, |place| place + 1));
        let Some(above) = above else {
            let is_over = self.bitrate(place) > available;
            return (
                place,
                if is_over {
                    Reason::Oversend
                } else {
                    Reason::Fits
                },
            );
        };
        if let Some(oversend) = self.oversend.filter(|_| is_first)
            && place < Some(oversend)
            && let Some(offer) = self.offer(oversend)
            && offer.bitrate <= available.saturating_add(OVERSEND_MAX)
        {
            return (Some(oversend), Reason::Oversend);
        }
        let (need, have) = (above.bitrate, available);
        (place, Reason::NoBudget { need, have })
    }
}

/// The offer at the price that it must fit at: rates waver, by each keyframe for one.
fn with_spare(offer: Offer, current: Option<u8>) -> Offer {
    let percent = match current {
        Some(current) if offer.encoding > current => 100 + SPARE_PERCENT,
        Some(current) if offer.encoding == current => 100 - SPARE_PERCENT,
        _ => 100,
    };
    Offer {
        bitrate: offer.bitrate.saturating_mul(percent) / 100,
        ..offer
    }
}

/// The highest temporal layer for a frame rate. Three layers of a half each below 30 frames per
/// second are assumed, as Jitsi does; a stream with fewer gives more frames than asked for.
const fn temporal_layer(max_frame_rate: i32) -> u8 {
    match max_frame_rate {
        ..=-1 => TEMPORAL_MAX,
        0..=14 => 0,
        15..=29 => 1,
        _ => TEMPORAL_MAX,
    }
}

/// Every temporal layer.
pub(crate) const TEMPORAL_MAX: u8 = 7;

/// Lines that a camera on stage gets before anything else is improved.
const PREFERRED_HEIGHT: u16 = 360;

/// How much more than its rate a larger encoding must find, and the one that is forwarded less.
const SPARE_PERCENT: u64 = 10;

/// Bits per second by which a screen on stage may exceed the budget (JVB: `max-oversend-bitrate`).
const OVERSEND_MAX: u64 = 500_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Key;

    const CAMERA: [(u16, u64); 3] = [(180, 150), (360, 500), (720, 2_500)];

    /// A source with live encodings of (lines, kbit/s), wanted at `max_height`.
    fn candidate(index: u32, max_height: i32, offers: &[(u16, u64)]) -> Candidate {
        let mut candidate = Candidate {
            source: SourceKey(Key {
                index,
                generation: 0,
            }),
            video_type: VideoType::Camera,
            on_stage: false,
            refusal: None,
            wish: VideoConstraints {
                max_height,
                max_frame_rate: -1,
            },
            offers: [None; ENCODINGS_MAX],
            current: None,
        };
        let places = candidate.offers.iter_mut().zip(0..);
        for ((place, encoding), (height, kbits)) in places.zip(offers) {
            *place = Some(Offer {
                encoding,
                height: *height,
                bitrate: kbits * 1_000,
                live: true,
            });
        }
        candidate
    }

    fn on_stage(candidate: Candidate) -> Candidate {
        Candidate {
            on_stage: true,
            ..candidate
        }
    }

    fn screen(candidate: Candidate) -> Candidate {
        Candidate {
            video_type: VideoType::Desktop,
            ..candidate
        }
    }

    fn decide(candidates: &[Candidate], budget: Option<u64>) -> Vec<Allocation> {
        let mut out = Vec::new();
        allocate(candidates, budget, &mut out);
        out
    }

    /// One letter for each source: its encoding, `-` for nothing.
    fn encodings(candidates: &[Candidate], kbits: u64) -> String {
        let decided = decide(candidates, Some(kbits * 1_000));
        let letter = |one: &Allocation| match one.target {
            Some(layer) => layer.encoding.to_string(),
            None => "-".to_owned(),
        };
        decided.iter().map(letter).collect()
    }

    /// One line for each situation: what each source gets as the budget grows.
    #[test]
    fn the_table_of_allocations_is_as_written() {
        let budgets = [
            0, 100, 150, 300, 500, 650, 800, 1_500, 2_500, 3_000, 5_500, 8_000,
        ];
        let stage = || on_stage(candidate(0, 720, &CAMERA));
        let thumb = |index| candidate(index, 180, &CAMERA);
        let tile = |index| candidate(index, 720, &CAMERA);
        let share = |kbits| on_stage(screen(candidate(0, -1, &[(1_080, kbits)])));
        let situations = [
            (
                "stage and two thumbnails",
                vec![stage(), thumb(1), thumb(2)],
            ),
            ("three tiles", vec![tile(0), tile(1), tile(2)]),
            (
                "one tile of a single encoding",
                vec![candidate(0, 720, &[(720, 1_000)])],
            ),
            (
                "screen on stage and a thumbnail",
                vec![share(1_000), thumb(1)],
            ),
            ("thumbnail before a screen", vec![thumb(1), share(1_000)]),
        ];
        let mut table = String::new();
        for (name, candidates) in &situations {
            let row = budgets.map(|kbits| encodings(candidates, kbits));
            table += &format!("{name}: {}\n", row.join(" "));
        }
        assert_eq!(
            table,
            "\
stage and two thumbnails: --- --- 0-- 0-- 1-- 10- 100 100 100 200 200 200
three tiles: --- --- 0-- 00- 000 000 100 111 111 111 221 222
one tile of a single encoding: - - - - - - - 0 0 0 0 0
screen on stage and a thumbnail: -- -- -- -- 0- 0- 0- 00 00 00 00 00
thumbnail before a screen: -- -- 0- 0- 0- 0- 0- 00 00 00 00 00
"
        );
    }

    #[test]
    fn each_decision_says_why() {
        let refused = |reason| Candidate {
            refusal: Some(reason),
            ..candidate(3, 720, &CAMERA)
        };
        let candidates = [
            candidate(0, 180, &CAMERA),
            candidate(1, 360, &CAMERA),
            refused(Reason::NotShown),
        ];
        let decided = decide(&candidates, Some(400_000));
        assert_eq!(decided[0].reason, Reason::Fits);
        let (need, have) = (500_000, 250_000);
        assert_eq!(decided[1].reason, Reason::NoBudget { need, have });
        assert_eq!(decided[2].reason, Reason::NotShown);
        assert_eq!(decided[2].target, None);
        let heights = decided.iter().map(|one| one.wanted_height);
        assert_eq!(heights.collect::<Vec<_>>(), [180, 360, 0]);
        let share = on_stage(screen(candidate(0, -1, &[(1_080, 1_000)])));
        assert_eq!(decide(&[share], Some(600_000))[0].reason, Reason::Oversend);
    }

    #[test]
    fn without_measurements_something_is_chosen() {
        let decided = decide(
            &[candidate(0, 360, &[(180, 0), (360, 0), (720, 0)])],
            Some(1),
        );
        assert_eq!(decided[0].target.map(|layer| layer.encoding), Some(1));
    }

    #[test]
    fn a_larger_encoding_that_costs_no_more_is_taken() {
        let candidates = [candidate(0, -1, &[(180, 400), (360, 300), (720, 2_000)])];
        assert_eq!(encodings(&candidates, 450), "1");
    }

    #[test]
    fn encodings_that_stopped_are_left_out_unless_all_have() {
        let mut one = candidate(0, 720, &CAMERA);
        one.offers[2] = one.offers[2].map(|offer| Offer {
            live: false,
            ..offer
        });
        assert_eq!(encodings(core::slice::from_ref(&one), 9_000), "1");
        for offer in one.offers.iter_mut().flatten() {
            offer.live = false;
        }
        assert_eq!(encodings(&[one], 9_000), "2");
    }

    #[test]
    fn the_smallest_is_sent_when_all_are_larger_than_wanted() {
        let candidates = [candidate(0, 90, &CAMERA)];
        assert_eq!(encodings(&candidates, 9_000), "0");
    }

    #[test]
    fn a_rate_that_wavers_about_the_budget_changes_nothing() {
        let at = |kbits, current| {
            let offers = [(180, 150), (360, 500), (720, kbits)];
            let one = Candidate {
                current: Some(current),
                ..candidate(0, 720, &offers)
            };
            encodings(&[one], 2_000)
        };
        for (kbits, current, next) in [
            (1_900, 2, "2"),
            (2_100, 2, "2"),
            (2_300, 2, "1"),
            (1_900, 1, "1"),
            (1_800, 1, "2"),
        ] {
            assert_eq!(at(kbits, current), next, "{kbits} kbit/s after {current}");
        }
    }

    #[test]
    fn frame_rates_choose_temporal_layers() {
        for (rate, layer) in [(-1, 7), (30, 7), (60, 7), (29, 1), (15, 1), (14, 0), (0, 0)] {
            assert_eq!(temporal_layer(rate), layer, "{rate} frames per second");
        }
    }

    #[test]
    fn the_budget_is_kept_whatever_is_offered() {
        for seed in 0..2_000_u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut random = |most: u32| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                u32::try_from(state % u64::from(most)).unwrap()
            };
            let count = 1 + random(6);
            let candidates: Vec<Candidate> = (0..count)
                .map(|index| {
                    let offers = [0, 1, 2].map(|_| {
                        let height = u16::try_from(random(1_080)).unwrap();
                        (height, u64::from(random(3_000)))
                    });
                    let one = candidate(index, random(800).cast_signed() - 1, &offers);
                    if random(3) == 0 { on_stage(one) } else { one }
                })
                .collect();
            let budget = u64::from(random(6_000_000));
            let decided = decide(&candidates, Some(budget));
            let spent: u64 = candidates
                .iter()
                .zip(&decided)
                .filter_map(|(candidate, one)| {
                    let offer = candidate.offers[usize::from(one.target?.encoding)]?;
                    Some(offer.bitrate)
                })
                .sum();
            assert!(spent <= budget, "seed {seed}: {spent} of {budget}");
        }
    }
}
