use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;

/// Most places that a tenant may hold, where a test does not care.
const ANY: usize = 1_000;
const MS: u64 = 1_000;

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn wish(most: usize, operations: usize) -> Wish {
    Wish { most, operations, first: true, known: true }
}

/// Operations that hold their places for as long as they say, by a clock that a test moves on.
struct House {
    admission: Admission,
    now: Arc<AtomicU64>,
    waiting: Vec<(&'static str, u64, oneshot::Receiver<Place>)>,
    working: Vec<(u64, Place)>,
    /// Who began, and when.
    begun: Vec<(&'static str, u64)>,
    refused: usize,
}

impl House {
    fn new(total: usize, queue: usize) -> Self {
        Self::with_share(total, queue, ANY)
    }

    fn with_share(total: usize, queue: usize, share: usize) -> Self {
        let now = Arc::new(AtomicU64::new(0));
        let clock = now.clone();
        let admission = Admission::by(total, queue, share, move || clock.load(Ordering::Relaxed));
        Self { admission, now, waiting: Vec::new(), working: Vec::new(), begun: Vec::new(), refused: 0 }
    }

    fn ask(&mut self, name: &'static str, most: usize, operations: usize, hold: u64) {
        self.wish(name, Wish { most, operations, first: true, known: true }, hold);
    }

    fn wish(&mut self, name: &'static str, wish: Wish, hold: u64) {
        match self.admission.0.join(&tenant(name), wish) {
            Ok(Entry::Place(place)) => self.begin(name, hold, place),
            Ok(Entry::Line(_, told)) => self.waiting.push((name, hold, told)),
            Err(_) => self.refused += 1,
        }
    }

    fn begin(&mut self, name: &'static str, hold: u64, place: Place) {
        let now = self.now.load(Ordering::Relaxed);
        self.begun.push((name, now));
        self.working.push((now + hold, place));
    }

    /// Goes on until a moment, or until all is done.
    fn run(&mut self, until: u64) {
        loop {
            for (name, hold, mut told) in std::mem::take(&mut self.waiting) {
                match told.try_recv() {
                    Ok(place) => self.begin(name, hold, place),
                    Err(oneshot::error::TryRecvError::Empty) => self.waiting.push((name, hold, told)),
                    Err(oneshot::error::TryRecvError::Closed) => self.refused += 1,
                }
            }
            let next = self.working.iter().enumerate().min_by_key(|(_, (end, _))| *end);
            match next.map(|(at, (end, _))| (at, *end)).filter(|(_, end)| *end <= until) {
                Some((at, end)) => {
                    self.now.store(end, Ordering::Relaxed);
                    drop(self.working.swap_remove(at));
                }
                None => break,
            }
        }
        self.now.fetch_max(until.min(u64::MAX / 2), Ordering::Relaxed);
    }

    fn finish(mut self) {
        self.run(u64::MAX / 2);
        assert!(self.waiting.is_empty() && self.working.is_empty(), "all are served");
        assert!(is_empty(&self.admission));
    }
}

fn is_empty(admission: &Admission) -> bool {
    let hall = admission.0.hall();
    hall.waiting == 0 && hall.free == admission.0.total && hall.lines.values().all(|line| line.working == 0)
}

#[tokio::test]
async fn hostile_66_waiting_is_bounded_in_number_and_time() {
    let admission = Arc::new(Admission::new(2, 1, ANY));
    let soon = || Instant::now() + Duration::from_millis(50);
    let a = tenant("a");
    let held = admission.enter(&a, wish(ANY, 9), soon()).await.unwrap();
    let second = tokio::spawn({
        let (admission, a) = (admission.clone(), a.clone());
        async move { admission.enter(&a, wish(ANY, 1), Instant::now() + Duration::from_secs(600)).await.map(drop) }
    });
    while admission.0.hall().waiting == 0 {
        tokio::task::yield_now().await;
    }
    let full = admission.enter(&a, wish(ANY, 1), soon()).await.err().unwrap();
    assert!(full.to_string().contains("server.queue"), "{full}");
    drop(held);
    second.await.unwrap().unwrap();
    let held = admission.enter(&a, wish(ANY, 2), soon()).await.unwrap();
    let late = admission.enter(&a, wish(ANY, 1), soon()).await.err().unwrap();
    assert_eq!(late.code(), Code::Overloaded);
    drop(held);
    drop(admission.enter(&a, wish(ANY, 1), soon()).await.unwrap());
    assert!(is_empty(&admission));
}

#[tokio::test]
async fn hostile_39_who_goes_away_leaves_the_line() {
    let admission = Admission::new(1, 5, ANY);
    let (a, b) = (tenant("a"), tenant("b"));
    let held = admission.enter(&a, wish(ANY, 1), Instant::now()).await.unwrap();
    let far = || Instant::now() + Duration::from_secs(600);
    let (gone, stays) = (admission.enter(&a, wish(ANY, 1), far()), admission.enter(&b, wish(ANY, 1), far()));
    let mut gone = Box::pin(gone);
    assert!(futures_util::poll!(&mut gone).is_pending());
    let mut stays = Box::pin(stays);
    assert!(futures_util::poll!(&mut stays).is_pending());
    drop(held);
    // The place was given to somebody who does not take it any more.
    drop(gone);
    drop(stays.await.unwrap());
    assert!(is_empty(&admission));
}

#[test]
fn whoever_asks_little_does_not_wait_for_whoever_asks_much() {
    let mut house = House::new(4, 1_000);
    (0..400).for_each(|_| house.ask("loud", ANY, 1, 10 * MS));
    house.run(105 * MS);
    // One after another, as somebody who waits for each answer.
    for round in 0..20 {
        let asked = house.now.load(Ordering::Relaxed);
        house.ask("quiet", ANY, 1, 10 * MS);
        house.run(asked + 10 * MS);
        let begun = house.begun.iter().filter(|(name, _)| *name == "quiet").nth(round).expect("it was its turn").1;
        assert!(begun <= asked + 10 * MS, "round {round}: {begun} after {asked}");
        house.run(begun + 10 * MS);
    }
    house.finish();
}

#[test]
fn two_that_ask_much_hold_places_for_the_same_time_whatever_one_operation_takes() {
    let mut house = House::new(2, 10_000);
    for _ in 0..2_000 {
        house.ask("long", ANY, 1, 20 * MS);
        house.ask("short", ANY, 1, 2 * MS);
    }
    house.run(2_000 * MS);
    let held = |name: &str, hold: u64| house.begun.iter().filter(|(who, _)| *who == name).count() as u64 * hold;
    let (short, long) = (held("short", 2 * MS), held("long", 20 * MS));
    let ratio = short as f64 / long as f64;
    assert!((0.9..1.1).contains(&ratio), "{short} and {long}");
    house.waiting.clear();
    house.finish();
}

#[test]
fn nobody_saves_up_turns_by_being_silent() {
    let mut house = House::new(1, 1_000);
    for round in 0..50 {
        house.ask("busy", ANY, 1, 10 * MS);
        house.run((round + 1) * 10 * MS);
    }
    house.begun.clear();
    for _ in 0..40 {
        house.ask("silent", ANY, 1, 10 * MS);
        house.ask("busy", ANY, 1, 10 * MS);
    }
    house.run(u64::MAX / 2);
    let busy = house.begun[..40].iter().filter(|(name, _)| *name == "busy").count();
    assert!((18..=22).contains(&busy), "{busy} of the first 40");
    house.finish();
}

#[test]
fn a_tenant_holds_no_more_places_than_it_may() {
    let mut house = House::new(8, 100);
    (0..20).for_each(|_| house.ask("a", 3, 1, 10 * MS));
    assert_eq!(house.begun.len(), 3);
    house.ask("b", 5, 5, 100 * MS);
    house.run(0);
    assert_eq!(house.begun.len(), 4, "what one tenant waits for, another may have");
    house.run(25 * MS);
    assert_eq!(house.begun.len(), 10, "three at a time");
    house.finish();
}

#[tokio::test]
async fn a_batch_larger_than_a_tenant_may_have_takes_what_it_may() {
    let admission = Admission::new(8, 100, ANY);
    let place = admission.enter(&tenant("a"), wish(3, 10), Instant::now()).await.unwrap();
    assert_eq!(place.places, 3);
    drop(place);
    assert!(is_empty(&admission));
}

#[test]
fn a_batch_gets_its_places_although_single_operations_come_all_the_time() {
    let mut house = House::new(4, 1_000);
    (0..200).for_each(|_| house.ask("a", ANY, 1, 10 * MS));
    house.run(15 * MS);
    house.ask("b", ANY, 4, 10 * MS);
    house.run(50 * MS);
    let begun = house.begun.iter().find(|(name, _)| *name == "b").expect("it has begun").1;
    assert!(begun <= 30 * MS, "{begun}");
    house.finish();
}

#[test]
fn a_full_queue_has_room_for_whoever_has_the_shorter_line() {
    let mut house = House::new(1, 4);
    (0..5).for_each(|_| house.ask("loud", ANY, 1, 10 * MS));
    house.ask("loud", ANY, 1, 10 * MS);
    assert_eq!(house.refused, 1, "there is no longer line than its own");
    house.ask("quiet", ANY, 1, 10 * MS);
    house.run(15 * MS);
    assert_eq!(house.refused, 2, "the last of the long line went");
    assert_eq!(house.begun[1].0, "quiet");
    house.finish();
}

#[test]
fn what_goes_first_goes_before_the_others_of_its_tenant_alone() {
    let mut house = House::new(1, 100);
    house.ask("a", ANY, 1, 10 * MS);
    for (name, first) in [("a", false), ("b", false), ("a", true), ("a", true)] {
        // By the time for which they hold the place they are told apart.
        house.wish(name, Wish { most: ANY, operations: 1, first, known: true }, if first { MS } else { 10 * MS });
    }
    house.run(u64::MAX / 2);
    let begun: Vec<u64> = house.begun.iter().map(|(_, at)| *at).collect();
    assert_eq!(house.begun[1].0, "b", "it has held no place yet");
    assert_eq!(begun, [0, 10 * MS, 20 * MS, 21 * MS, 22 * MS]);
    house.finish();
}

#[test]
fn a_flood_holds_its_share_while_others_ask_and_all_it_may_when_alone() {
    let mut house = House::with_share(100, 100, 2);
    for _ in 0..20 {
        house.ask("loud", 10, 1, 5 * MS);
    }
    assert_eq!(house.working.len(), 10, "alone it may hold as many as ever");
    house.ask("quiet", 10, 1, MS);
    assert_eq!(house.working.len(), 11, "there is a place at once");
    // What was begun goes on, and no more is begun until it holds less than its share.
    house.run(5 * MS);
    assert_eq!(house.working.len(), 2);
    house.run(11 * MS);
    assert_eq!(house.working.len(), 2);
    // A batch needs what it needs, and others wait meanwhile.
    house.ask("quiet", 10, 5, MS);
    assert_eq!(house.working.len(), 3);
    house.ask("quiet", 10, 1, MS);
    assert_eq!(house.working.len(), 3);
    // A second later it is alone again.
    house.run(u64::MAX);
    house.now.store(2_000 * MS, Ordering::Relaxed);
    for _ in 0..20 {
        house.ask("loud", 10, 1, 5 * MS);
    }
    assert_eq!(house.working.len(), 10);
    assert_eq!(house.refused, 0);
}

#[test]
fn whoever_is_not_known_yet_is_no_company() {
    let house = House::with_share(100, 100, 1);
    let enter =
        |name: &str, known| house.admission.0.join(&tenant(name), Wish { most: 9, operations: 1, first: true, known });
    let places: Vec<_> = (0..3)
        .map(|_| [enter("sign-in", false), enter("loud", true)])
        .map(|both| both.map(|entry| matches!(entry, Ok(Entry::Place(_)))))
        .collect();
    assert_eq!(places, [[true, true]; 3]);
}
