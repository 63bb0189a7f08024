//! Names of runs that were not given one: readable, such as `greedy-yonath-1608`.

use dagmar_common::ids::RunId;

/// An adjective, a name, and the hour and minute of the day.
pub fn generate() -> RunId {
    let now = jiff::Zoned::now();
    let words = petname::petname(2, "-").unwrap_or_else(|| "plain-run".to_owned());
    RunId::new(&format!("{words}-{:02}{:02}", now.hour(), now.minute()))
}

/// The name to try after `run` turned out to be taken `times` times.
pub fn with_suffix(run: &RunId, times: u32) -> RunId {
    match times {
        0 => run.clone(),
        _ => RunId::new(&format!("{run}-{}", times + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::check_run_id;

    #[test]
    fn a_generated_name_is_two_words_and_a_time() {
        for _ in 0..100 {
            let name = generate();
            assert_eq!(check_run_id(name.as_str()), Ok(name.clone()));
            let parts: Vec<&str> = name.as_str().split('-').collect();
            let (time, words) = parts.split_last().unwrap();
            assert!(words.len() == 2 && words.iter().all(|word| !word.is_empty()), "{name}");
            assert!(time.len() == 4 && time.parse::<u32>().unwrap() < 2_400, "{name}");
        }
    }

    #[test]
    fn a_name_that_is_taken_gets_a_suffix() {
        let run = RunId::new("greedy-yonath-1608");
        assert_eq!(with_suffix(&run, 0), run);
        assert_eq!(with_suffix(&run, 1).as_str(), "greedy-yonath-1608-2");
    }
}
