//! What a step sees: a persistent map from name to (rank, value), joined by the higher rank.
//!
//! A treap whose priorities are hashes of the keys: the same names always give the same shape,
//! whatever the order in which they came, so a join can skip subtrees that are the same object.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::value::Value;

/// The place of a node in the one order of its section; of two writers the higher one is seen.
pub type Rank = u32;

/// An immutable map that shares what it has in common with others; cloning costs a counter.
#[derive(Clone, Debug, Default)]
pub struct View(Option<Arc<Node>>);

#[derive(Debug)]
struct Node {
    name: Arc<str>,
    priority: u64,
    rank: Rank,
    value: Value,
    left: View,
    right: View,
}

impl View {
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The same object, hence equal; the converse need not hold.
    pub fn is_same(&self, other: &View) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    pub fn get(&self, name: &str) -> Option<(Rank, &Value)> {
        let mut here = self;
        while let Some(node) = &here.0 {
            here = match name.cmp(&node.name) {
                Ordering::Less => &node.left,
                Ordering::Greater => &node.right,
                Ordering::Equal => return Some((node.rank, &node.value)),
            };
        }
        None
    }

    /// This view with `name` written at `rank`; a value of a higher rank stays.
    #[must_use]
    pub fn with(&self, name: &Arc<str>, rank: Rank, value: Value) -> View {
        let priority = priority_of(name);
        let one = View(Some(Arc::new(Node {
            name: name.clone(),
            priority,
            rank,
            value,
            left: View(None),
            right: View(None),
        })));
        self.join(&one)
    }

    /// The pointwise maximum by rank; of equal ranks this side's value (they are the same write).
    #[must_use]
    pub fn join(&self, other: &View) -> View {
        if self.is_same(other) {
            return self.clone();
        }
        let (Some(a), Some(b)) = (&self.0, &other.0) else {
            return if self.is_empty() { other.clone() } else { self.clone() };
        };
        if (b.priority, &b.name) > (a.priority, &a.name) {
            let (left, equal, right) = self.split(&b.name);
            let (rank, value) = match &equal {
                Some((rank, value)) if *rank >= b.rank => (*rank, value),
                _ => (b.rank, &b.value),
            };
            return b.replaced(other, rank, value, left.join(&b.left), right.join(&b.right));
        }
        let (left, equal, right) = other.split(&a.name);
        let (rank, value) = match &equal {
            Some((rank, value)) if *rank > a.rank => (*rank, value),
            _ => (a.rank, &a.value),
        };
        a.replaced(self, rank, value, a.left.join(&left), a.right.join(&right))
    }

    /// All names below `name`, the entry itself, and all above it.
    fn split(&self, name: &str) -> (View, Option<(Rank, Value)>, View) {
        let Some(node) = &self.0 else { return (View(None), None, View(None)) };
        match name.cmp(&node.name) {
            Ordering::Equal => {
                (node.left.clone(), Some((node.rank, node.value.clone())), node.right.clone())
            }
            Ordering::Less => {
                let (low, equal, high) = node.left.split(name);
                let right = node.replaced(self, node.rank, &node.value, high, node.right.clone());
                (low, equal, right)
            }
            Ordering::Greater => {
                let (low, equal, high) = node.right.split(name);
                let left = node.replaced(self, node.rank, &node.value, node.left.clone(), low);
                (left, equal, high)
            }
        }
    }

    /// Every entry in the order of names.
    pub fn each(&self, visit: &mut dyn FnMut(&Arc<str>, Rank, &Value)) {
        if let Some(node) = &self.0 {
            node.left.each(visit);
            visit(&node.name, node.rank, &node.value);
            node.right.each(visit);
        }
    }

    /// How many names it holds; walks it whole.
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |node| 1 + node.left.count() + node.right.count())
    }

    /// The root as an object, for whoever writes shared subtrees only once (snapshots).
    pub fn identity(&self) -> Option<usize> {
        self.0.as_ref().map(|node| Arc::as_ptr(node) as usize)
    }

    /// What the root holds and its two subtrees.
    pub fn parts(&self) -> Option<(&Arc<str>, Rank, &Value, &View, &View)> {
        let node = self.0.as_ref()?;
        Some((&node.name, node.rank, &node.value, &node.left, &node.right))
    }

    /// Puts a node together again from what [`View::parts`] gave.
    pub fn from_parts(name: Arc<str>, rank: Rank, value: Value, left: View, right: View) -> View {
        let priority = priority_of(&name);
        View(Some(Arc::new(Node { name, priority, rank, value, left, right })))
    }
}

impl Node {
    /// `whole` itself where nothing changed, so that identity survives joins.
    fn replaced(&self, whole: &View, rank: Rank, value: &Value, left: View, right: View) -> View {
        if rank == self.rank && left.is_same(&self.left) && right.is_same(&self.right) {
            return whole.clone();
        }
        View(Some(Arc::new(Node {
            name: self.name.clone(),
            priority: self.priority,
            rank,
            value: value.clone(),
            left,
            right,
        })))
    }
}

/// FNV-1a, finished so that short names spread.
fn priority_of(name: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    crate::ids::Fence(hash).hash()
}

/// What one frame's steps stand on: names of its own over all that its composite sees.
///
/// Only overlays are joined; a base is shared by every step of its frame.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    pub overlay: View,
    pub base: Option<Arc<Scope>>,
}

impl Scope {
    pub fn get(&self, name: &str) -> Option<&Value> {
        let mut here = Some(self);
        while let Some(scope) = here {
            if let Some((_, value)) = scope.overlay.get(name) {
                return Some(value);
            }
            here = scope.base.as_deref();
        }
        None
    }

    /// Every name once, innermost value, in the order of names.
    pub fn flatten(&self) -> std::collections::BTreeMap<Arc<str>, Value> {
        let mut all = match &self.base {
            Some(base) => base.flatten(),
            None => std::collections::BTreeMap::new(),
        };
        self.overlay.each(&mut |name, _, value| {
            all.insert(name.clone(), value.clone());
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn view(entries: &[(&str, Rank, &str)]) -> View {
        entries.iter().fold(View::default(), |view, (name, rank, value)| {
            view.with(&Arc::from(*name), *rank, Value::text(value))
        })
    }

    fn text(view: &View) -> Vec<(String, Rank, String)> {
        let mut all = Vec::new();
        view.each(&mut |name, rank, value| all.push((name.to_string(), rank, value.bare())));
        all
    }

    #[test]
    fn a_higher_rank_is_seen_whatever_came_first() {
        let a = view(&[("x", 1, "old"), ("y", 5, "kept")]);
        let b = view(&[("x", 2, "new"), ("y", 3, "low")]);
        assert_eq!(text(&a.join(&b)), text(&b.join(&a)));
        assert_eq!(a.join(&b).get("x").map(|(_, value)| value.bare()), Some("new".into()));
        assert_eq!(a.join(&b).get("y").map(|(rank, _)| rank), Some(5));
    }

    #[test]
    fn joining_agrees_with_a_plain_map_and_keeps_one_shape() {
        let mut seed = 7_u64;
        let mut random = move |bound: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % bound
        };
        for _ in 0..300 {
            let mut plain: BTreeMap<String, (Rank, String)> = BTreeMap::new();
            let mut sides = [View::default(), View::default()];
            for _ in 0..random(60) {
                let (name, rank) = (format!("n{}", random(25)), random(50) as Rank);
                let value = format!("{name}@{rank}");
                let side = random(2) as usize;
                sides[side] = sides[side].with(&name.as_str().into(), rank, Value::text(&value));
                let slot = plain.entry(name).or_insert((rank, value.clone()));
                if rank > slot.0 {
                    *slot = (rank, value);
                }
            }
            let [a, b] = sides;
            let joined = a.join(&b);
            let expected: Vec<_> = plain.into_iter().map(|(n, (r, v))| (n, r, v)).collect();
            assert_eq!(text(&joined), expected);
            assert_eq!(format!("{joined:?}"), format!("{:?}", b.join(&a)));
            assert!(joined.join(&a).is_same(&joined), "joining what is in it changes nothing");
        }
    }
}
