//! Keeps what one receiver wants to see (Jitsi's `ReceiverVideoConstraints`).
//!
//! Messages are partial: a wish that is absent stays as it was, a wish that is given replaces the
//! earlier one whole. Before any message a configured height holds for every source (0 as in
//! Jitsi: nothing is sent, so that a join causes no storm of keyframe requests); the first message
//! that names no default sets [`FIRST_DEFAULT_HEIGHT`].

use crate::description::{ReceiverConstraints, VideoConstraints};
use crate::id::SourceName;
use crate::limits::CONSTRAINED_SOURCES_MAX;

/// The wishes of one receiver.
#[derive(Clone, Debug)]
pub(crate) struct Constraints {
    last_n: i32,
    on_stage: Vec<SourceName>,
    selected: Vec<SourceName>,
    default_max_height: i32,
    /// Wishes for single sources, sorted by name.
    single: Vec<(SourceName, VideoConstraints)>,
    /// Sources on stage and selected, each once, the most important first.
    ranks: Vec<(SourceName, Rank)>,
    assumed_bandwidth: Option<u64>,
    heard: bool,
}

/// Where a source stands among those that the receiver named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Shown large; its place among those.
    OnStage(usize),
    /// Preferred; its place among those.
    Selected(usize),
    /// Not named.
    Other,
}

impl Constraints {
    /// The state before any message; `initial_max_height` as in [`VideoConstraints`].
    pub(crate) const fn new(initial_max_height: i32) -> Self {
        Self {
            last_n: UNLIMITED,
            on_stage: Vec::new(),
            selected: Vec::new(),
            default_max_height: initial_max_height,
            single: Vec::new(),
            ranks: Vec::new(),
            assumed_bandwidth: None,
            heard: false,
        }
    }

    /// Takes a message over.
    pub(crate) fn apply(&mut self, wishes: &ReceiverConstraints) {
        if let Some(last_n) = wishes.last_n {
            self.last_n = last_n;
        }
        if let Some(height) = wishes.default_max_height {
            self.default_max_height = height;
        } else if !self.heard {
            self.default_max_height = FIRST_DEFAULT_HEIGHT;
        }
        if let Some(single) = &wishes.constraints {
            self.single.clear();
            self.single
                .extend(single.iter().take(CONSTRAINED_SOURCES_MAX).cloned());
            self.single.sort_by(|a, b| a.0.cmp(&b.0));
        }
        if let Some(bandwidth) = wishes.assumed_bandwidth {
            self.assumed_bandwidth = u64::try_from(bandwidth).ok();
        }
        replace(&mut self.on_stage, wishes.on_stage_sources.as_deref());
        replace(&mut self.selected, wishes.selected_sources.as_deref());
        self.heard = true;
        self.rank_sources();
    }

    /// How many videos at most; `None` is unlimited.
    pub(crate) fn last_n(&self) -> Option<usize> {
        usize::try_from(self.last_n).ok()
    }

    /// Bits per second to assume instead of an estimate.
    pub(crate) const fn assumed_bandwidth(&self) -> Option<u64> {
        self.assumed_bandwidth
    }

    /// The wish for one source.
    pub(crate) fn wish(&self, source: &SourceName) -> VideoConstraints {
        let single = self.single.binary_search_by(|(name, _)| name.cmp(source));
        single
            .ok()
            .and_then(|at| self.single.get(at))
            .map_or_else(|| self.default_wish(), |(_, wish)| *wish)
    }

    /// The sources that the receiver named, each once, the most important first.
    pub(crate) fn ranks(&self) -> &[(SourceName, Rank)] {
        &self.ranks
    }

    const fn default_wish(&self) -> VideoConstraints {
        VideoConstraints {
            max_height: self.default_max_height,
            max_frame_rate: UNLIMITED,
        }
    }

    fn rank_sources(&mut self) {
        let on_stage = self.on_stage.iter().enumerate();
        let selected = self.selected.iter().enumerate();
        self.ranks.clear();
        self.ranks.extend(
            on_stage
                .map(|(at, name)| (name.clone(), Rank::OnStage(at)))
                .chain(selected.map(|(at, name)| (name.clone(), Rank::Selected(at)))),
        );
        // A source that is named twice keeps its best place.
        self.ranks.sort();
        self.ranks.dedup_by(|a, b| a.0 == b.0);
        self.ranks.sort_unstable_by_key(|(_, rank)| *rank);
    }
}

fn replace(names: &mut Vec<SourceName>, wish: Option<&[SourceName]>) {
    if let Some(wish) = wish {
        names.clear();
        names.extend(wish.iter().take(CONSTRAINED_SOURCES_MAX).cloned());
    }
}

/// A height, frame rate or count without bound.
pub(crate) const UNLIMITED: i32 = -1;

/// Lines of a source that the first message does not speak of (JVB's `default-max-height-px`).
const FIRST_DEFAULT_HEIGHT: i32 = 180;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SourceName {
        SourceName::new(text).unwrap()
    }

    fn height(constraints: &Constraints, source: &str) -> i32 {
        constraints.wish(&name(source)).max_height
    }

    fn lines(max_height: i32) -> VideoConstraints {
        VideoConstraints {
            max_height,
            max_frame_rate: UNLIMITED,
        }
    }

    #[test]
    fn before_any_message_the_configured_height_holds() {
        assert_eq!(height(&Constraints::new(0), "a-v0"), 0);
        assert_eq!(height(&Constraints::new(720), "a-v0"), 720);
    }

    #[test]
    fn the_first_message_without_a_default_means_180_lines_and_later_ones_keep_it() {
        let mut constraints = Constraints::new(0);
        constraints.apply(&ReceiverConstraints {
            constraints: Some(vec![(name("a-v0"), lines(720))]),
            ..ReceiverConstraints::default()
        });
        assert_eq!(height(&constraints, "a-v0"), 720);
        assert_eq!(height(&constraints, "b-v0"), 180);
        constraints.apply(&ReceiverConstraints {
            default_max_height: Some(-1),
            ..ReceiverConstraints::default()
        });
        constraints.apply(&ReceiverConstraints::default());
        assert_eq!(height(&constraints, "a-v0"), 720);
        assert_eq!(height(&constraints, "b-v0"), -1);
    }

    #[test]
    fn a_given_wish_replaces_the_earlier_one_whole_and_an_absent_one_keeps_it() {
        let mut constraints = Constraints::new(0);
        constraints.apply(&ReceiverConstraints {
            last_n: Some(3),
            selected_sources: Some(vec![name("s-v0"), name("t-v0")]),
            on_stage_sources: Some(vec![name("t-v0")]),
            constraints: Some(vec![(name("a-v0"), lines(720)), (name("b-v0"), lines(0))]),
            assumed_bandwidth: Some(1_000_000),
            ..ReceiverConstraints::default()
        });
        constraints.apply(&ReceiverConstraints {
            constraints: Some(vec![(name("b-v0"), lines(360))]),
            ..ReceiverConstraints::default()
        });
        assert_eq!(height(&constraints, "a-v0"), 180);
        assert_eq!(height(&constraints, "b-v0"), 360);
        assert_eq!(constraints.last_n(), Some(3));
        assert_eq!(constraints.assumed_bandwidth(), Some(1_000_000));
        let ranks = [
            (name("t-v0"), Rank::OnStage(0)),
            (name("s-v0"), Rank::Selected(0)),
        ];
        assert_eq!(constraints.ranks(), ranks, "named twice, the better place");
        constraints.apply(&ReceiverConstraints {
            last_n: Some(-1),
            on_stage_sources: Some(vec![]),
            assumed_bandwidth: Some(-1),
            ..ReceiverConstraints::default()
        });
        assert_eq!(constraints.last_n(), None);
        assert_eq!(constraints.assumed_bandwidth(), None);
        let ranks = [
            (name("s-v0"), Rank::Selected(0)),
            (name("t-v0"), Rank::Selected(1)),
        ];
        assert_eq!(constraints.ranks(), ranks);
    }

    #[test]
    fn endless_lists_are_cut() {
        let many: Vec<SourceName> = (0..CONSTRAINED_SOURCES_MAX + 10)
            .map(|at| name(&format!("{at}-v0")))
            .collect();
        let mut constraints = Constraints::new(0);
        constraints.apply(&ReceiverConstraints {
            on_stage_sources: Some(many.clone()),
            selected_sources: Some(many.clone()),
            constraints: Some(many.into_iter().map(|name| (name, lines(1))).collect()),
            ..ReceiverConstraints::default()
        });
        assert_eq!(constraints.single.len(), CONSTRAINED_SOURCES_MAX);
        assert_eq!(constraints.ranks.len(), CONSTRAINED_SOURCES_MAX);
    }
}
