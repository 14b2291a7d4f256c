//! How much of the traffic each member gets at this moment.
//!
//! In this order: who is available, which priority is used, panic, slow start, zones.

use super::{BalanceSettings, Member};
use std::time::Duration;
use tokio::time::Instant;

/// An own zone may have lost this much before others are asked to help: with 1.4, it gets all
/// requests while at least 71 % of its weight is available, then 1.4 times what is available.
const ZONE_OVERPROVISIONING: f64 = 1.4;
/// The share with which a slow start begins.
const RAMP_BEGINS_AT: f64 = 0.1;
/// In how many steps a slow start rises, at most one each tenth of a second.
const RAMP_STEPS: u32 = 20;
const RAMP_STEP_MIN: Duration = Duration::from_millis(100);

/// The weights in force.
#[derive(Debug, PartialEq)]
pub(super) struct Shares {
    /// By member; zero for those that get nothing.
    pub(super) weights: Box<[f64]>,
    /// Whether availability is ignored because too few are available.
    pub(super) panic: bool,
    /// When these have to be computed again though nothing has changed.
    pub(super) until: Option<Instant>,
}

/// Computes the weights in force at `now`.
pub(super) fn shares(members: &[Member], settings: &BalanceSettings, now: Instant) -> Shares {
    // A name without addresses is asked only where there is nothing else to ask.
    let resolved = members.iter().any(|one| one.is_resolved());
    let considered = |one: &Member| one.is_resolved() || !resolved;
    let count = |test: &dyn Fn(&Member) -> bool| members.iter().filter(|one| test(one)).count();
    let available = |one: &Member| considered(one) && one.endpoint.standing.is_available();
    let (all, well) = (count(&considered), count(&available));
    let panic = well < all && (well as f64) < all as f64 * settings.panic_threshold;
    // RFC 2782: the lowest priority number that can be reached.
    let tier = members
        .iter()
        .filter(|one| available(one) || (well == 0 && considered(one)))
        .map(|one| one.priority)
        .min();
    let in_tier = |one: &Member| considered(one) && Some(one.priority) == tier;
    let in_use = |one: &Member| in_tier(one) && (panic || available(one));

    let mut until = None;
    let mut weights: Box<[f64]> = members
        .iter()
        .map(|one| {
            if !in_use(one) {
                return 0.0;
            }
            let Some(window) = settings.slow_start else {
                return one.weight;
            };
            let age = now.saturating_duration_since(one.endpoint.standing.available_since());
            if age >= window {
                return one.weight;
            }
            until = Some(now + (window / RAMP_STEPS).max(RAMP_STEP_MIN));
            one.weight * (age.as_secs_f64() / window.as_secs_f64()).max(RAMP_BEGINS_AT)
        })
        .collect();
    if let (Some(zone), false) = (settings.zone.as_deref(), panic) {
        let tiered: Vec<Option<bool>> = members
            .iter()
            .map(|one| in_tier(one).then(|| one.zone.as_deref() == Some(zone)))
            .collect();
        let configured = members.iter().map(|one| one.weight);
        let well = members.iter().map(available);
        prefer(&mut weights, &tiered, configured.zip(well));
    }
    Shares {
        weights,
        panic,
        until,
    }
}

/// Gives the own zone all it can bear and the rest to others, each in proportion to their weights.
/// `own` says of each member in use whether it is of the own zone; `configured` its weight and
/// whether it is available.
fn prefer(
    weights: &mut [f64],
    own: &[Option<bool>],
    configured: impl Iterator<Item = (f64, bool)>,
) {
    let (mut total, mut well) = (0.0, 0.0);
    for (place, (weight, available)) in own.iter().zip(configured) {
        if *place == Some(true) {
            total += weight;
            well += if available { weight } else { 0.0 };
        }
    }
    let sum = |weights: &[f64], of: bool| -> f64 {
        let pairs = weights.iter().zip(own);
        pairs
            .filter(|(_, own)| **own == Some(of))
            .map(|(weight, _)| weight)
            .sum()
    };
    let (here, elsewhere) = (sum(weights, true), sum(weights, false));
    if here <= 0.0 || elsewhere <= 0.0 {
        return;
    }
    let share = (ZONE_OVERPROVISIONING * well / total).min(1.0);
    for (weight, own) in weights.iter_mut().zip(own) {
        *weight *= match own {
            Some(true) => share / here,
            Some(false) => (1.0 - share) / elsewhere,
            None => 0.0,
        };
    }
}
