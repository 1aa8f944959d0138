//! Text for places that take ASCII only, such as the status line of HTTP/1.1.

/// A character in ASCII: itself, a typed equivalent for signs that people and editors use, `?` for any
/// other.
pub fn to_ascii(character: char) -> impl Iterator<Item = char> {
    let spelled = match character {
        '\0'..='\u{7f}' => "",
        '…' => "...",
        '‐'..='―' | '−' => "-",
        '‘' | '’' | '‚' | '′' => "'",
        '“' | '”' | '„' | '«' | '»' | '″' => "\"",
        '×' => "x",
        '→' => "->",
        '≤' => "<=",
        '≥' => ">=",
        _ => "?",
    };
    let own = character.is_ascii().then_some(character);
    spelled.chars().chain(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_spelled_and_the_rest_is_asked_for() {
        let words = "mirror_url=… – “m×t” isn’t ≤ 3 → größer~\n";
        let ascii: String = words.chars().flat_map(to_ascii).collect();
        assert_eq!(ascii, "mirror_url=... - \"mxt\" isn't <= 3 -> gr??er~\n");
    }
}
