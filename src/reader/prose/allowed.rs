//! The elements that a description may consist of, and what becomes of the others.

/// What is done with an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    /// Written, under this name.
    Written(&'static str),
    /// A heading, written below those of the page.
    Heading(u8),
    /// A link, if it leads to the web.
    Link,
    /// Its text in words: nothing is loaded from anywhere.
    Image,
    /// A tick box, as a character.
    Tick,
    /// Written without an end.
    Void(&'static str),
    /// Left out, with everything in it.
    Muted,
    /// Left out; what is in it stays.
    Opened,
}

/// Every element that is not simply opened.
const TABLE: [(&str, Treatment); 72] = {
    use Treatment::{Heading, Image, Link, Muted, Tick, Void, Written};
    [
        ("a", Link),
        ("abbr", Written("abbr")),
        ("b", Written("b")),
        ("blockquote", Written("blockquote")),
        ("br", Void("br")),
        ("caption", Written("caption")),
        ("center", Written("div")),
        ("cite", Written("cite")),
        ("code", Written("code")),
        ("dd", Written("div")),
        ("del", Written("del")),
        ("details", Written("details")),
        ("dfn", Written("dfn")),
        ("div", Written("div")),
        ("dl", Written("div")),
        ("dt", Written("div")),
        ("em", Written("em")),
        ("figcaption", Written("div")),
        ("figure", Written("div")),
        ("h1", Heading(1)),
        ("h2", Heading(2)),
        ("h3", Heading(3)),
        ("h4", Heading(4)),
        ("h5", Heading(5)),
        ("h6", Heading(6)),
        ("hr", Void("hr")),
        ("i", Written("i")),
        ("img", Image),
        ("input", Tick),
        ("ins", Written("ins")),
        ("kbd", Written("kbd")),
        ("li", Written("li")),
        ("mark", Written("mark")),
        ("ol", Written("ol")),
        ("p", Written("p")),
        ("pre", Written("pre")),
        ("q", Written("q")),
        ("s", Written("s")),
        ("samp", Written("samp")),
        ("small", Written("small")),
        ("span", Written("span")),
        ("strike", Written("s")),
        ("strong", Written("strong")),
        ("sub", Written("sub")),
        ("summary", Written("summary")),
        ("sup", Written("sup")),
        ("table", Written("table")),
        ("tbody", Written("tbody")),
        ("td", Written("td")),
        ("tfoot", Written("tfoot")),
        ("th", Written("th")),
        ("thead", Written("thead")),
        ("tr", Written("tr")),
        ("tt", Written("code")),
        ("u", Written("u")),
        ("ul", Written("ul")),
        ("var", Written("var")),
        ("wbr", Void("wbr")),
        ("applet", Muted),
        ("audio", Muted),
        ("canvas", Muted),
        ("iframe", Muted),
        ("math", Muted),
        ("object", Muted),
        ("script", Muted),
        ("select", Muted),
        ("style", Muted),
        ("svg", Muted),
        ("template", Muted),
        ("textarea", Muted),
        ("title", Muted),
        ("video", Muted),
    ]
};

/// What is done with an element of this name, in lower case.
pub(super) fn treatment(name: &str) -> Treatment {
    let found = TABLE.iter().find(|(known, _)| *known == name);
    found.map_or(Treatment::Opened, |(_, treatment)| *treatment)
}

/// What may contain an element directly; without one of these around it, it is written as a block. Browsers
/// repair such markup each in its way, and assistive programs announce it wrongly.
pub(super) fn belongs_in(written: &str) -> Option<&'static [&'static str]> {
    match written {
        "li" => Some(&["ul", "ol"]),
        "caption" | "thead" | "tbody" | "tfoot" => Some(&["table"]),
        "tr" => Some(&["table", "thead", "tbody", "tfoot"]),
        "td" | "th" => Some(&["tr"]),
        "summary" => Some(&["details"]),
        _ => None,
    }
}

/// Whether an attribute of a written element is kept, by its value.
pub(super) fn keeps_attribute(written: &str, name: &str, value: &str) -> bool {
    let is_number = |most: u32| value.parse::<u32>().is_ok_and(|number| number <= most);
    match name {
        "dir" => matches!(value, "ltr" | "rtl" | "auto"),
        "align" => {
            matches!(written, "p" | "div" | "td" | "th")
                && matches!(value, "left" | "center" | "right")
        }
        "colspan" | "rowspan" => matches!(written, "td" | "th") && is_number(100),
        "start" => written == "ol" && is_number(1_000_000),
        "open" => written == "details",
        _ => false,
    }
}
