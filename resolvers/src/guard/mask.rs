//! Values that the caller may read on some records only: what a store answers for [`Pick::Masked`], taken out of its wrapping.

use crate::read::{Pick, Read, Target};
use crate::value::Value;

/// Whether an answer has values to take out.
pub(super) fn masks(read: &Read) -> bool {
    let mut picks = read.targets.iter().flat_map(|target| &target.picks);
    picks.any(|pick| match pick {
        Pick::Masked { .. } => true,
        Pick::Read(inner) => masks(inner),
        Pick::Field(_) | Pick::Holds(_) => false,
    })
}

/// Puts values in the places of their wrappings, and [`Value::Hidden`] where the caller may not read one.
pub(crate) fn unmask(read: &Read, outcome: &mut Value) {
    let rows = match outcome {
        Value::List(parts) if read.is_composite() => parts.first_mut(),
        rows => Some(rows),
    };
    let Some(Value::List(rows)) = rows else { return };
    let first = read.first_pick();
    for row in rows {
        let Value::List(values) = row else { continue };
        let target = match values.first() {
            Some(Value::Int(index)) if first > 0 => usize::try_from(*index).ok().and_then(|at| read.targets.get(at)),
            _ => read.targets.first(),
        };
        if let Some(target) = target {
            record(target, values.get_mut(first..).unwrap_or_default());
        }
    }
}

fn record(target: &Target, values: &mut [Value]) {
    for (pick, value) in target.picks.iter().zip(values) {
        match pick {
            Pick::Masked { .. } => {
                *value = match std::mem::take(value) {
                    Value::List(mut wrapped) if wrapped.len() == 1 => wrapped.remove(0),
                    _ => Value::Hidden,
                };
            }
            Pick::Read(inner) => unmask(inner, value),
            Pick::Field(_) | Pick::Holds(_) => {}
        }
    }
}
