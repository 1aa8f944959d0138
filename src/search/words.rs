//! Texts as words: runs of letters and digits, in lower case.

/// Longest word, in bytes; the rest of a longer one is not looked at. The longest in any language's dictionary
/// are shorter.
const WORD_BYTES_MAX: usize = 64;

/// The words of a text, in order.
pub fn words_of(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|one: char| !one.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(|word| {
        let cut = &word[..word.floor_char_boundary(WORD_BYTES_MAX)];
        cut.to_lowercase()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        let table = [
            ("", vec![]),
            ("--  ::", vec![]),
            ("Hello.Pkg_2", vec!["hello", "pkg", "2"]),
            ("Größe, naïve", vec!["größe", "naïve"]),
            ("ДАННЫЕ 数据", vec!["данные", "数据"]),
        ];
        for (text, expected) in table {
            assert_eq!(words_of(text).collect::<Vec<_>>(), expected, "{text}");
        }
        let long = words_of(&"é".repeat(1000)).next().unwrap();
        assert_eq!(long, "é".repeat(WORD_BYTES_MAX / 2));
    }
}
