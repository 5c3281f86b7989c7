//! How much is worked on at once: places for operations, and the lines in which tenants wait for them.
//!
//! Tenants are served in turn, so that who asks much does not make others wait. Each tenant has a line of its own and a virtual time: how
//! long its operations have held places. The next place goes to the tenant whose time is least. A tenant that comes back begins at
//! the time of those that are served, so nobody saves up turns. This is start-time fair queueing (Goyal, Vin, Cheng: Start-time Fair Queueing,
//! SIGCOMM 1996). How long an operation holds its place is not known beforehand: what is usual for its tenant is charged when it
//! begins, and put right when it ends. When too many wait, the longest line loses its last (McKenney: Stochastic Fairness
//! Queueing, INFOCOM 1990).
//!
//! Turns alone do not keep a flood from others: what was begun together shares the processors. So a tenant in company, beside which another one asked
//! within the last second, holds no more places than its share.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quipu_resolvers::fault::{Code, Fault};
use quipu_resolvers::guard::TenantId;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

#[cfg(test)]
mod tests;

/// What an operation of a tenant is taken for, before one has ended: a millisecond.
const FIRST: u64 = 1_000;
/// An operation weighs so much, of that many, in what is usual for its tenant.
const WEIGHT: (u64, u64) = (1, 8);
/// How long a tenant that asked is company for others, in microseconds.
const COMPANY: u64 = 1_000_000;

/// Places for operations that are worked on.
pub(super) struct Admission(Arc<Shared>);

struct Shared {
    total: usize,
    queue: usize,
    /// Microseconds since some moment.
    now: Box<dyn Fn() -> u64 + Send + Sync>,
    hall: Mutex<Hall>,
}

#[derive(Default)]
struct Hall {
    free: usize,
    waiting: usize,
    /// Places that a tenant holds in company.
    share: usize,
    lines: HashMap<TenantId, Line>,
    /// The tenant that asked last and the one that asked last before it, and when; not those who are not known yet.
    asked: [Option<(TenantId, u64)>; 2],
    /// The virtual time of what was served last, in microseconds of places.
    time: u64,
    tickets: u64,
}

/// A tenant's operations: those at work are counted, those that wait stand in line.
struct Line {
    working: usize,
    most: usize,
    waiting: VecDeque<Waiter>,
    /// How long its operations have held places, in microseconds, beside what it never asked for.
    time: u64,
    /// How long one of them usually holds its place, in microseconds.
    usual: u64,
}

struct Waiter {
    ticket: u64,
    places: usize,
    first: bool,
    tell: oneshot::Sender<Place>,
}

impl Admission {
    /// So many places, and so many operations that may wait for one, all tenants together; a tenant in company holds `share` places.
    pub fn new(total: usize, queue: usize, share: usize) -> Self {
        let begun = Instant::now();
        Self::by(total, queue, share, move || u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The same, by another clock.
    fn by(total: usize, queue: usize, share: usize, now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let hall = Mutex::new(Hall { free: total, share, ..Hall::default() });
        Self(Arc::new(Shared { total, queue, now: Box::new(now), hall }))
    }

    /// Waits for places: first the tenants that have held them least, and of one tenant in the order of asking. Fails with `OVERLOADED` when too many wait or the deadline passes.
    pub async fn enter(&self, tenant: &TenantId, wish: Wish, deadline: Instant) -> Result<Place, Fault> {
        let (ticket, told) = match self.0.join(tenant, wish)? {
            Entry::Place(place) => return Ok(place),
            Entry::Line(ticket, told) => (ticket, told),
        };
        let _leaving = Leaving { shared: &self.0, tenant, ticket };
        match timeout_at(deadline, told).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(too_many()),
            Err(_) => Err(overloaded("no place became free in time")),
        }
    }
}

impl Admission {
    /// A place for whoever is not known yet, in a line of their own. Fails as [`Self::enter`] does.
    pub async fn enter_unknown(&self, deadline: Instant) -> Result<Place, Fault> {
        let Some(line) = TenantId::parse("sign-in") else { return Err(too_many()) };
        self.enter(&line, Wish { most: self.0.total, operations: 1, first: false, known: false }, deadline).await
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// How many places the tenant may hold.
    pub most: usize,
    /// For how many operations, each of which takes one.
    pub operations: usize,
    /// Whether it goes before those of its tenant that do not.
    pub first: bool,
    /// Whether it is known whose it is.
    pub known: bool,
}

/// What comes of asking for a place.
enum Entry {
    Place(Place),
    Line(u64, oneshot::Receiver<Place>),
}

impl Shared {
    fn hall(&self) -> MutexGuard<'_, Hall> {
        self.hall.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(self: &Arc<Self>, tenant: &TenantId, wish: Wish) -> Result<Entry, Fault> {
        let Wish { most, operations, first, known } = wish;
        // a batch larger than all places together takes them all, or it would wait for ever
        let places = operations.clamp(1, self.total.min(most).max(1));
        let now = (self.now)();
        let mut hall = self.hall();
        if known {
            hall.note(tenant, now);
        }
        hall.make_line(tenant, most);
        // Whoever waits at this moment waits for a place of its own tenant, unless it needs more places than are free.
        if hall.fits(tenant, places, now) && hall.ready(now).is_none() {
            return Ok(Entry::Place(self.take(&mut hall, tenant, places)));
        }
        if hall.waiting >= self.queue {
            hall.make_room(tenant)?;
        }
        let (tell, told) = oneshot::channel();
        hall.tickets += 1;
        let ticket = hall.tickets;
        hall.waiting += 1;
        if let Some(line) = hall.lines.get_mut(tenant) {
            let at = if first { line.waiting.partition_point(|other| other.first) } else { line.waiting.len() };
            line.waiting.insert(at, Waiter { ticket, places, first, tell });
        }
        let unwanted = self.serve(&mut hall);
        drop(hall);
        drop(unwanted);
        Ok(Entry::Line(ticket, told))
    }

    /// Takes places for a tenant and charges it what they usually take.
    fn take(self: &Arc<Self>, hall: &mut Hall, tenant: &TenantId, places: usize) -> Place {
        hall.free -= places;
        let mut charged = 0;
        if let Some(line) = hall.lines.get_mut(tenant) {
            line.working += places;
            hall.time = hall.time.max(line.time);
            charged = line.usual.saturating_mul(places as u64);
            line.time = line.time.saturating_add(charged);
        }
        Place { shared: self.clone(), tenant: tenant.clone(), places, charged, since: (self.now)() }
    }

    /// Gives out places for as long as there are some for whoever is next. Those that nobody waits for any more are handed back, to be
    /// dropped when the hall is free.
    fn serve(self: &Arc<Self>, hall: &mut Hall) -> Vec<Place> {
        let mut unwanted = Vec::new();
        let now = (self.now)();
        while let Some(tenant) = hall.next(now) {
            let Some(waiter) = hall.lines.get_mut(&tenant).and_then(|line| line.waiting.pop_front()) else { break };
            hall.waiting -= 1;
            let place = self.take(hall, &tenant, waiter.places);
            unwanted.extend(waiter.tell.send(place).err());
        }
        unwanted
    }
}

impl Hall {
    /// A line for a tenant that asks. One that had nothing to do begins at the time of those that had.
    fn make_line(&mut self, tenant: &TenantId, most: usize) {
        let time = self.time;
        if let Some(line) = self.lines.get_mut(tenant) {
            line.most = most;
            line.time = line.time.max(time);
        } else {
            let line = Line { working: 0, most, waiting: VecDeque::new(), time, usual: FIRST };
            self.lines.insert(tenant.clone(), line);
        }
    }

    /// Notes that a tenant asks, for whom others are in company.
    fn note(&mut self, tenant: &TenantId, now: u64) {
        if let Some((last, at)) = &mut self.asked[0]
            && last == tenant
        {
            *at = now;
            return;
        }
        self.asked[1] = self.asked[0].replace((tenant.clone(), now));
    }

    /// Whether another tenant than this one asked a moment ago.
    fn in_company(&self, tenant: &TenantId, now: u64) -> bool {
        self.asked.iter().flatten().any(|(other, at)| other != tenant && now.saturating_sub(*at) < COMPANY)
    }

    /// Whether a tenant may hold more places. In company that is its share, or what one request of it needs.
    fn may_take(&self, tenant: &TenantId, line: &Line, places: usize, now: u64) -> bool {
        let held = line.working + places;
        held <= line.most && (held <= self.share || line.working == 0 || !self.in_company(tenant, now))
    }

    fn fits(&self, tenant: &TenantId, places: usize, now: u64) -> bool {
        let line = self.lines.get(tenant);
        places <= self.free
            && line.is_some_and(|line| line.waiting.is_empty() && self.may_take(tenant, line, places, now))
    }

    /// The tenant whose turn it is, and how many places it waits for: the one with the least time of those that do not hold as many as
    /// they may.
    fn ready(&self, now: u64) -> Option<(&TenantId, usize)> {
        let ready = self.lines.iter().filter_map(|(tenant, line)| {
            let first = line.waiting.front().filter(|first| self.may_take(tenant, line, first.places, now))?;
            Some((line.time, first.ticket, tenant, first.places))
        });
        let (.., tenant, places) = ready.min_by_key(|(time, ticket, ..)| (*time, *ticket))?;
        Some((tenant, places))
    }

    /// The tenant whose turn it is, if there are places for it. If not, others that need fewer wait as well: they would be taken away from
    /// it for ever.
    fn next(&self, now: u64) -> Option<TenantId> {
        self.ready(now).filter(|(_, places)| *places <= self.free).map(|(tenant, _)| tenant.clone())
    }

    /// Sends the last of the longest line away for a tenant that has a shorter one.
    ///
    /// # Errors
    /// When there is no longer one than its own.
    fn make_room(&mut self, tenant: &TenantId) -> Result<(), Fault> {
        let own = self.lines.get(tenant).map_or(0, |line| line.waiting.len());
        let longest = self.lines.values_mut().max_by_key(|line| line.waiting.len());
        match longest.filter(|line| line.waiting.len() > own + 1).and_then(|line| line.waiting.pop_back()) {
            Some(_) => {
                self.waiting -= 1;
                Ok(())
            }
            None => Err(too_many()),
        }
    }
}

/// Places that are held until this is dropped.
pub(super) struct Place {
    shared: Arc<Shared>,
    tenant: TenantId,
    places: usize,
    charged: u64,
    since: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let held = (self.shared.now)().saturating_sub(self.since);
        let mut hall = self.shared.hall();
        hall.free += self.places;
        let time = hall.time;
        if let Some(line) = hall.lines.get_mut(&self.tenant) {
            line.working -= self.places;
            let took = held.saturating_mul(self.places as u64);
            line.time = line.time.saturating_sub(self.charged).saturating_add(took);
            let (of_it, of_all) = WEIGHT;
            line.usual =
                (line.usual.saturating_mul(of_all - of_it).saturating_add(held.saturating_mul(of_it))) / of_all;
            // What is owed is remembered until all others have had as much.
            if line.working == 0 && line.waiting.is_empty() && line.time <= time {
                hall.lines.remove(&self.tenant);
            }
        }
        let unwanted = self.shared.serve(&mut hall);
        drop(hall);
        drop(unwanted);
    }
}

/// One in line, which leaves it when this is dropped.
struct Leaving<'a> {
    shared: &'a Arc<Shared>,
    tenant: &'a TenantId,
    ticket: u64,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut hall = self.shared.hall();
        let Some(line) = hall.lines.get_mut(self.tenant) else { return };
        let Some(at) = line.waiting.iter().position(|waiter| waiter.ticket == self.ticket) else { return };
        line.waiting.remove(at);
        hall.waiting -= 1;
        // It may have been the one that others waited behind.
        let unwanted = self.shared.serve(&mut hall);
        drop(hall);
        drop(unwanted);
    }
}

fn too_many() -> Fault {
    overloaded("too many requests are waiting (server.queue)")
}

/// A refusal for want of places.
pub(super) fn overloaded(message: &str) -> Fault {
    Fault::client(Code::Overloaded, message)
}
