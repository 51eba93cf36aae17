//! Watches how busy the server's process is, ten times a second, and finds spikes.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bridge_core::Time;

use super::plan::float;
use super::process::cpu_of;
use super::{Failure, failure};
use crate::clock::{Clock, rest};

/// Time that each value stands for.
pub(crate) const STEP: Duration = Duration::from_millis(100);

/// Values of a second.
const SECOND: usize = 10;

/// More than so many times the steady load is a spike.
const SPIKE: f64 = 2.0;

/// Up to so many times the steady load counts as steady again.
const CALM: f64 = 1.25;

/// A thread that looks at a process.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<(Duration, u64)>>,
}

impl Watch {
    /// Begins to look: a thread of its own, since joins may keep the others busy.
    pub(crate) fn start(pid: u32) -> Result<Self, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let look = move || {
            let clock = Clock::start();
            let mut readings = Vec::new();
            for step in 0_u32.. {
                let Ok(used) = cpu_of(pid) else { break };
                let now = clock.now().since(Time::ZERO);
                readings.push((now, used));
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                rest((STEP * (step + 1)).saturating_sub(now));
            }
            readings
        };
        let thread = thread::Builder::new()
            .name("watch".to_owned())
            .spawn(look)
            .map_err(|error| failure("start a thread", error))?;
        Ok(Self { stop, thread })
    }

    /// Ends it; gives what it saw.
    pub(crate) fn finish(self) -> Timeline {
        self.stop.store(true, Ordering::Relaxed);
        Timeline::of(&self.thread.join().unwrap_or_default())
    }
}

/// Processors that were busy, step by step.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Timeline(pub(crate) Vec<f64>);

/// How an event shows in a timeline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spike {
    /// Processors busy before it, and once all has settled: medians.
    pub(crate) before: f64,
    pub(crate) after: f64,
    /// The busiest second since, over the higher of the two.
    pub(crate) ratio: f64,
    /// How long they were busier than twice the higher of the two, all in all.
    pub(crate) lasted: Duration,
    /// When the first second begins that is as calm as those at the end; `None` if there is none.
    pub(crate) settled: Option<Duration>,
}

impl Timeline {
    /// From readings of a process's CPU time. One that came late tells on its neighbours only.
    fn of(readings: &[(Duration, u64)]) -> Self {
        let mut cores = Vec::new();
        let mut pairs = readings.windows(2).peekable();
        let mut before = None;
        for step in 0_u32.. {
            let at = STEP * step;
            while pairs.next_if(|pair| ends_before(pair, at)).is_some() {}
            let Some(used) = pairs.peek().and_then(|pair| used_at(pair, at)) else {
                break;
            };
            if let Some(before) = before.replace(used) {
                cores.push((used - before) / STEP.as_secs_f64());
            }
        }
        Self(cores)
    }

    /// How an event shows that came so long after the beginning.
    pub(crate) fn spike(&self, event: Duration) -> Option<Spike> {
        let at = usize::try_from(event.as_millis() / STEP.as_millis()).unwrap_or(usize::MAX);
        let (before, since) = self.0.split_at_checked(at)?;
        let after = median(since.get(since.len() / 2..)?)?;
        let before = median(before).unwrap_or(after);
        let steady = before.max(after);
        let seconds = || since.windows(SECOND.min(since.len())).map(mean);
        let highest = seconds().fold(0.0, f64::max);
        let above = since.iter().filter(|value| **value > SPIKE * steady);
        let calm = seconds().position(|second| second <= CALM * after);
        let steps = |count: usize| STEP * u32::try_from(count).unwrap_or(u32::MAX);
        (steady > 0.0).then(|| Spike {
            before,
            after,
            ratio: highest / steady,
            lasted: steps(above.count()),
            settled: calm.map(steps),
        })
    }
}

fn ends_before(pair: &[(Duration, u64)], at: Duration) -> bool {
    pair.last().is_some_and(|(end, _)| *end < at)
}

/// Seconds of CPU time used up to a moment between two readings, or just before the first.
fn used_at(pair: &[(Duration, u64)], at: Duration) -> Option<f64> {
    let [(from, low), (to, high)] = pair else {
        return None;
    };
    let seconds = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64();
    let length = to.saturating_sub(*from).as_secs_f64();
    let share = (at.as_secs_f64() - from.as_secs_f64()) / length.max(1e-9);
    Some(seconds(*low) + (seconds(*high) - seconds(*low)) * share)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / float(values.len().max(1))
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn milliseconds(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn readings_that_come_late_give_even_steps() {
        // Half a processor all the time, looked at whenever the system lets us.
        let times = [1, 104, 199, 350, 351, 500, 620];
        let readings = times.map(|at| (milliseconds(at), at * 500_000));
        let timeline = Timeline::of(&readings);
        assert_eq!(timeline.0.len(), 6);
        assert!(
            timeline.0.iter().all(|it| (it - 0.5).abs() < 1e-6),
            "{timeline:?}"
        );
        assert_eq!(Timeline::of(&[]), Timeline::default());
        assert_eq!(Timeline::of(&readings[..1]), Timeline::default());
    }

    #[test]
    fn a_spike_is_measured_against_the_steady_load() {
        let mut values = vec![0.2; 50];
        values.extend([1.0; 5]);
        values.extend([0.3; 3]);
        values.extend([0.2; 32]);
        let spike = Timeline(values).spike(milliseconds(5_000)).unwrap();
        assert!((spike.ratio - (5.0 + 0.9 + 0.4) / 10.0 / 0.2).abs() < 1e-9);
        assert_eq!(spike.lasted, milliseconds(500));
        // From then on: 0.3 three times and 0.2 seven times, which is 0.23.
        assert_eq!(spike.settled, Some(milliseconds(500)));
        assert!((spike.before - 0.2).abs() < 1e-9 && (spike.after - 0.2).abs() < 1e-9);
    }

    #[test]
    fn more_load_than_before_is_no_spike_if_it_stays() {
        let mut values = vec![0.2; 50];
        values.extend([0.5; 50]);
        let spike = Timeline(values).spike(milliseconds(5_000)).unwrap();
        assert!((spike.ratio - 1.0).abs() < 1e-9);
        assert_eq!(spike.lasted, Duration::ZERO);
        assert_eq!(spike.settled, Some(Duration::ZERO));
    }

    #[test]
    fn an_event_at_the_beginning_is_measured_against_what_comes_of_it() {
        let mut values = vec![0.6; 10];
        values.extend([0.2; 40]);
        let spike = Timeline(values).spike(Duration::ZERO).unwrap();
        assert!((spike.ratio - 3.0).abs() < 1e-9);
        assert_eq!(spike.lasted, milliseconds(1_000));
        assert_eq!(spike.settled, Some(milliseconds(900)));
        assert_eq!(Timeline(vec![0.2; 9]).spike(milliseconds(1_000)), None);
        assert_eq!(Timeline(vec![0.0; 20]).spike(milliseconds(1_000)), None);
    }

    #[test]
    fn this_process_is_watched() {
        let watch = Watch::start(std::process::id()).unwrap();
        let clock = Clock::start();
        let mut sum = 0_u64;
        while clock.now() < Time::from_millis(350) {
            sum = (0..10_000_u64).fold(sum, u64::wrapping_add);
        }
        let timeline = watch.finish();
        assert!(timeline.0.len() >= 2, "{timeline:?}, {sum}");
        assert!(timeline.0.iter().all(|it| *it >= 0.0), "{timeline:?}");
        assert!(timeline.0.iter().any(|it| *it > 0.0), "{timeline:?}");
        assert!(Watch::start(u32::MAX).unwrap().finish().0.is_empty());
    }
}
