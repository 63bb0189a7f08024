//! Files that nobody wrote: whatever comes in, a graph that compiles verifies, and nothing panics.

use crate::compile;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) as usize % bound
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// True if it compiled.
#[track_caller]
fn holds(text: &str) -> bool {
    let compiled = compile("p.yaml", text);
    let _ = compiled.diagnostics.render(true);
    assert_eq!(compiled.graph.is_none(), compiled.diagnostics.has_errors(), "{text}");
    let Some(graph) = compiled.graph else { return false };
    assert_eq!(graph.verify(), Ok(()), "{text}");
    true
}

#[test]
fn whatever_the_steps_refer_to_what_compiles_verifies() {
    let mut random = Random(11);
    let names = ["a", "b", "c", "d", "e", "f", "success", "fail"];
    let mut compiled = 0;
    for _ in 0..4_000 {
        let mut text = String::new();
        if random.one_in(3) {
            text.push_str(&format!("start_at: {}\n", names[random.below(3)]));
        }
        text.push_str("steps:\n");
        for name in &names[..2 + random.below(5)] {
            text.push_str(&format!("  {name}: {{type: stub"));
            for key in ["next", "on_failure"] {
                if random.one_in(3) {
                    text.push_str(&format!(", {key}: {}", names[random.below(names.len())]));
                }
            }
            if random.one_in(3) {
                text.push_str(&format!(", needs: [{}]", names[random.below(6)]));
            }
            text.push_str("}\n");
        }
        if random.one_in(4) {
            text.push_str("  done: {type: success}\n");
        }
        compiled += usize::from(holds(&text));
    }
    assert!(compiled > 200, "{compiled} of 4000 compiled");
}

#[test]
fn damaged_files_are_refused_or_mean_something() {
    let mut random = Random(12);
    let whole = "\
name: x # y
parameters: {n: &n 4, list: [1, 2.5, 'ä'], o: {type: integer, default: 3}}
steps:
  a: &t {command: 'echo $n', retry: {max_attempts: 2, backoff: 1s}, timeout: 5m,
    resources: {cpus: 0.5}}
  b: {<<: *t, needs: [a], next: success, on_failure: h}
  h: {command: [sh, -c, 'exit 1'], next: fail}
  m: {type: map, iterate_on: list, iterate_as: i, branch: {steps: {w: *t}}}
";
    assert!(holds(whole));
    let (mut refused, mut compiled) = (0, 0);
    for _ in 0..1_500 {
        let mut bytes = whole.as_bytes().to_vec();
        for _ in 0..=random.below(3) {
            let place = random.below(bytes.len());
            match random.below(20) {
                0..10 => bytes[place] = b" \n\t:-{}[],&*!|>'\"#%@0ax\x00\xff"[random.below(25)],
                10..19 if bytes.len() > 1 => drop(bytes.remove(place)),
                _ => bytes.truncate(place + 1),
            }
        }
        match holds(&String::from_utf8_lossy(&bytes)) {
            true => compiled += 1,
            false => refused += 1,
        }
    }
    assert!(refused > 200 && compiled > 50, "{refused} refused, {compiled} compiled");
}
