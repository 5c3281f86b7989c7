//! Scopes: places in a tree, written as paths from its root (`/global`, `/global/mortgage`, `/global/mortgage/acme`). A caller is at one
//! or several of them, and sees what is there and above.

use serde_json::Value as Json;

/// Most steps of a path. A longer one is nobody's.
const DEEPEST: usize = 16;
/// Most scopes of a caller, those above counted in: each can become a part of a condition. Who has more sees nothing.
const MOST: usize = 64;

/// The scopes of a caller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scopes<'c> {
    /// Those that their claim names.
    own: Vec<&'c str>,
    /// Those and all above, each once.
    seen: Vec<&'c str>,
}

impl<'c> Scopes<'c> {
    /// Reads a claim: a path or a list of paths. What is no path is passed over; `None` when the claim is neither, or has too many.
    pub(crate) fn of(claim: &'c Json) -> Option<Self> {
        let named: Vec<&Json> = match claim {
            Json::String(_) => vec![claim],
            Json::Array(items) if items.len() <= MOST => items.iter().collect(),
            _ => return None,
        };
        let (mut own, mut seen) = (Vec::new(), Vec::new());
        for path in named.into_iter().filter_map(Json::as_str).filter(|path| is_path(path)) {
            add(&mut own, path);
            let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
            ends.for_each(|end| add(&mut seen, &path[..end]));
        }
        (seen.len() <= MOST).then_some(Self { own, seen })
    }

    /// Those that the claim names.
    pub(crate) fn own(&self) -> &[&'c str] {
        &self.own
    }

    /// Those and all above.
    pub(crate) fn seen(&self) -> &[&'c str] {
        &self.seen
    }

    /// Those of the seen ones that are below another.
    pub(crate) fn below(&self, scope: &str) -> Vec<&'c str> {
        let is_below = |other: &&&str| other.strip_prefix(scope).is_some_and(|rest| rest.starts_with('/'));
        self.seen.iter().filter(is_below).copied().collect()
    }
}

fn add<'c>(paths: &mut Vec<&'c str>, path: &'c str) {
    if !paths.contains(&path) {
        paths.push(path);
    }
}

/// Whether a text is a path: a slash before each step, and no step empty.
fn is_path(text: &str) -> bool {
    text.strip_prefix('/').is_some_and(|steps| {
        steps.split('/').count() <= DEEPEST && steps.split('/').all(|step| !step.is_empty() && step.trim() == step)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_caller_sees_their_scopes_and_all_above_each_once() {
        let claim = json!(["/global/mortgage/acme", "/global/insurance", "/global/mortgage/acme"]);
        let scopes = Scopes::of(&claim).unwrap();
        assert_eq!(scopes.own(), ["/global/mortgage/acme", "/global/insurance"]);
        assert_eq!(scopes.seen(), ["/global", "/global/mortgage", "/global/mortgage/acme", "/global/insurance"]);
        assert_eq!(scopes.below("/global/mortgage"), ["/global/mortgage/acme"]);
        assert_eq!(scopes.below("/global").len(), 3);
        assert!(scopes.below("/global/ins").is_empty(), "a step is whole or not at all");
    }

    #[test]
    fn what_is_no_path_gives_nothing() {
        for claim in [
            json!("global"),
            json!(""),
            json!("/"),
            json!("/a//b"),
            json!("/a/"),
            json!("/ a"),
            json!([7, null, "x", {}]),
        ] {
            assert_eq!(Scopes::of(&claim), Some(Scopes { own: vec![], seen: vec![] }), "{claim}");
        }
        for claim in [json!(null), json!(7), json!({"/a": 1}), json!(true)] {
            assert_eq!(Scopes::of(&claim), None, "{claim}");
        }
        assert_eq!(Scopes::of(&json!("/a")).unwrap().own(), ["/a"]);
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let deep = |steps: usize| json!("/a".repeat(steps));
        assert_eq!(Scopes::of(&deep(DEEPEST)).unwrap().seen().len(), DEEPEST);
        assert!(Scopes::of(&deep(DEEPEST + 1)).unwrap().seen().is_empty());
        let wide = |count: usize| json!((0..count).map(|n| format!("/g{n}")).collect::<Vec<_>>());
        assert_eq!(Scopes::of(&wide(MOST)).unwrap().seen().len(), MOST);
        assert_eq!(Scopes::of(&wide(MOST + 1)), None);
        let above: Vec<String> = (0..MOST).map(|n| format!("/g/s{n}")).collect();
        assert_eq!(Scopes::of(&json!(above)), None, "with the one above them they are too many");
    }
}
