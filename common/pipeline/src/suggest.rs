//! Did-you-mean: the known word that somebody probably meant.

/// Words longer than this are not typing mistakes of anything.
const WORD_BYTES_MAX: usize = 64;
/// Of so many candidates only the first are looked at: a file may hold 100,000 faults.
const CANDIDATES_MAX: usize = 2_000;

/// The nearest of `known` if it is near enough to have been meant.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if word.is_empty() || word.len() > WORD_BYTES_MAX {
        return None;
    }
    let lower = word.to_lowercase();
    // A third of the letters may be wrong, and one in the shortest words.
    let most = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= 2 * most + 2)
        .take(CANDIDATES_MAX)
        .map(|candidate| (distance(&lower, &candidate.to_lowercase(), most), candidate))
        .filter(|(distance, candidate)| {
            // Short words that share nothing are not alike: `a` is no mistyped `b`.
            *distance <= most && *distance < candidate.chars().count()
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to change; a word that only stops early or goes on is at most `most` away.
fn distance(word: &str, candidate: &str, most: usize) -> usize {
    let (short, long) =
        if word.len() < candidate.len() { (word, candidate) } else { (candidate, word) };
    let edits = strsim::osa_distance(word, candidate);
    let is_beginning = short.len() >= 3 && long.starts_with(short);
    if is_beginning { edits.min(most) } else { edits }
}

/// `did you mean `total`?`
pub(crate) fn did_you_mean<'k>(
    word: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<String> {
    nearest(word, known).map(|found| format!("did you mean `{found}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, known: &[&str], expected: Option<&str>) {
        assert_eq!(nearest(word, known.iter().copied()), expected);
    }

    #[test]
    fn finds_what_was_meant_and_nothing_else() {
        check("retrys", &["type", "retry", "next"], Some("retry"));
        check("totl", &["extract", "fit", "total"], Some("total"));
        check("biuld", &["build"], Some("build"));
        check("Build", &["build", "guild"], Some("build"));
        check("onfailure", &["on_failure"], Some("on_failure"));
        check("start", &["steps", "start_at"], Some("start_at"));
        check("image", &["retry", "next"], None);
        check("a", &["b"], None);
        check("", &["b"], None);
    }
}
