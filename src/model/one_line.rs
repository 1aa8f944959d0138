//! Texts of others on one line, as they are shown: nothing in them moves, hides or turns what stands beside.

/// A text without line ends and other controls, and without characters that are not seen themselves and
/// change how others are: marks of direction, joiners, and what stands for nothing (Unicode's categories Cc
/// and, as far as they are in use, Cf).
#[must_use]
pub fn one_line(text: &str) -> String {
    let seen: String = text.chars().filter(|one| !is_unseen(*one)).collect();
    let words = seen.split(|one: char| one.is_whitespace() || one.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn is_unseen(one: char) -> bool {
    matches!(one,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_unseen_is_left() {
        for (text, expected) in [
            ("a\tb\u{7}c\r\nd", "a b c d"),
            ("safe \u{202e}exe.piz\u{202c}", "safe exe.piz"),
            ("pay\u{200b}pal\u{feff} \u{2066}x\u{2069}\u{ad}", "paypal x"),
            ("\u{e0041}\u{200d}", ""),
            ("Größe, 数据", "Größe, 数据"),
        ] {
            assert_eq!(one_line(text), expected, "{text:?}");
        }
    }
}
