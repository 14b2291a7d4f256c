//! An upstream with fixed places and a fixed service time, simulated: no clock is waited for.

use super::*;
use crate::clock;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

/// What is a good answer: one that took no longer than this, in service times.
const GOOD: u32 = 8;
/// When a client leaves, in service times. The upstream works on what it has all the same.
const PATIENCE: u32 = 20;

/// An upstream that serves `places` requests at a time and lets the others wait, in order.
struct Origin {
    places: usize,
    service: Duration,
    /// How much longer or shorter a service may take, as a share.
    varies: f64,
    dice: u32,
    busy: BinaryHeap<Reverse<(Duration, usize)>>,
    queue: VecDeque<usize>,
    asked: Vec<(Duration, Option<AdaptivePlace>)>,
    /// The first whose client may still be there.
    waits: usize,
    good: usize,
}

impl Origin {
    fn new(places: usize, service: Duration) -> Self {
        Self {
            places,
            service,
            varies: 0.0,
            dice: 1,
            busy: BinaryHeap::new(),
            queue: VecDeque::new(),
            asked: Vec::new(),
            waits: 0,
            good: 0,
        }
    }

    fn ask(&mut self, now: Duration, place: AdaptivePlace) {
        let number = self.asked.len();
        self.asked.push((now, Some(place)));
        self.queue.push_back(number);
        self.serve(now);
    }

    fn serve(&mut self, now: Duration) {
        while self.busy.len() < self.places {
            let Some(next) = self.queue.pop_front() else {
                return;
            };
            self.dice = self
                .dice
                .wrapping_mul(1_664_525)
                .wrapping_add(1_013_904_223);
            let share = f64::from(self.dice >> 16) / f64::from(1 << 15) - 1.0;
            let service = self.service.mul_f64(self.varies.mul_add(share, 1.0));
            self.busy.push(Reverse((now + service, next)));
        }
    }

    /// Clients that leave by `until`.
    fn leave(&mut self, until: Duration, began: Instant) {
        let patience = self.service * PATIENCE;
        while let Some((asked, place)) = self.asked.get_mut(self.waits) {
            if *asked + patience > until {
                return;
            }
            if let Some(mut place) = place.take() {
                place.abandon(began + *asked + patience);
            }
            self.waits += 1;
        }
    }

    /// Everything that is done by `until`.
    fn run(&mut self, until: Duration, began: Instant) {
        while let Some(Reverse((done, number))) = self.busy.peek().copied() {
            if done > until {
                break;
            }
            self.leave(done, began);
            self.busy.pop();
            let (asked, place) = &mut self.asked[number];
            if done - *asked <= self.service * GOOD {
                self.good += 1;
            }
            if let Some(place) = place.take() {
                place.answered(began + done);
            }
            self.serve(done);
        }
        self.leave(until, began);
    }
}

/// Offers `times` the capacity for `seconds`. Gives good answers of the second half as a share of
/// what was possible, and how many were refused in all.
fn offer(
    limit: &Arc<AdaptiveLimit>,
    origin: &mut Origin,
    times: f64,
    from: f64,
    seconds: f64,
) -> (f64, usize) {
    let began = clock::instant();
    let capacity = origin.places as f64 / origin.service.as_secs_f64();
    let apart = 1.0 / (capacity * times);
    let (mut at, mut refused, mut half) = (from, 0, None);
    while at < from + seconds {
        let now = Duration::from_secs_f64(at);
        origin.run(now, began);
        if at >= from + seconds / 2.0 && half.is_none() {
            half = Some(origin.good);
        }
        match limit.enter(began + now) {
            Some(place) => origin.ask(now, place),
            None => refused += 1,
        }
        at += apart;
    }
    let good = origin.good - half.unwrap_or(0);
    (good as f64 / (capacity * seconds / 2.0), refused)
}

fn adaptive(most: usize) -> Arc<AdaptiveLimit> {
    AdaptiveLimit::new(most, clock::instant(), Arc::default())
}

#[tokio::test(start_paused = true)]
async fn at_ten_times_the_capacity_goodput_stays_near_the_best() {
    for (places, millis) in [(1, 50), (4, 100), (20, 50), (100, 10), (300, 200)] {
        let limit = adaptive(10_000);
        let mut origin = Origin::new(places, Duration::from_millis(millis));

        let (share, _) = offer(&limit, &mut origin, 10.0, 0.0, 60.0);

        let found = limit.limit();
        assert!(
            share > 0.9,
            "{places} places of {millis} ms: {share:.3} with {found}"
        );
        assert!(found <= 3 * places + 10, "{places} places: {found}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_do_not_take_alike_change_little() {
    for (places, millis) in [(4, 100), (20, 50), (100, 10)] {
        let limit = adaptive(10_000);
        let mut origin = Origin::new(places, Duration::from_millis(millis));
        origin.varies = 0.7;

        let (share, _) = offer(&limit, &mut origin, 10.0, 0.0, 60.0);

        let found = limit.limit();
        assert!(
            share > 0.9,
            "{places} places of {millis} ms: {share:.3} with {found}"
        );
        assert!(found <= 4 * places + 10, "{places} places: {found}");
    }
}

#[tokio::test(start_paused = true)]
async fn below_the_capacity_nobody_is_refused_once_a_second_has_passed() {
    for (places, millis) in [(4, 100), (20, 50), (80, 10), (300, 20)] {
        let limit = adaptive(10_000);
        let mut origin = Origin::new(places, Duration::from_millis(millis));
        offer(&limit, &mut origin, 0.9, 0.0, 1.0);

        let (share, refused) = offer(&limit, &mut origin, 0.9, 1.0, 60.0);

        assert!(share > 0.89, "{places} places of {millis} ms: {share:.3}");
        assert_eq!(refused, 0, "{places} places of {millis} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_becomes_three_times_slower_is_followed() {
    let limit = adaptive(10_000);
    let mut origin = Origin::new(20, Duration::from_millis(50));
    offer(&limit, &mut origin, 10.0, 0.0, 60.0);
    origin.service *= 3;

    let (share, _) = offer(&limit, &mut origin, 10.0, 60.0, 60.0);

    assert!(share > 0.9, "{share:.3} with {}", limit.limit());
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_never_above_what_was_set_and_never_below_one() {
    for most in [1, 2, 3] {
        let limit = adaptive(most);
        let now = clock::instant();

        let places: Vec<_> = (0..4).filter_map(|_| limit.enter(now)).collect();

        assert_eq!(places.len(), most);
        drop(places);
        assert!(limit.enter(now).is_some(), "places are given back");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answers_time_begins_with_its_attempt_and_with_the_end_of_its_clients_body() {
    let limit = adaptive(10);
    let began = clock::instant();
    let mut place = limit.enter(began).unwrap();
    let second = Duration::from_secs(1);
    assert_eq!(place.took(began + second * 3), second * 3);

    place.asked(began + second, None);
    assert_eq!(place.took(began + second * 3), second * 2);

    let body = Arc::<BodyProgress>::default();
    place.asked(began + second, Some(&body));
    assert_eq!(place.took(began + second * 3), second * 2);
    tokio::time::advance(second * 2).await;
    body.note_done();
    assert_eq!(place.took(began + second * 3), second);
}
