//! Descriptions of odd kinds, and what is left of them.

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use proptest::prelude::*;
use std::cell::RefCell;

use crate::reader::prose::rendering::prose;

use super::*;

/// The markup that our own writing consists of, besides the elements of the table.
const OURS: [(&str, &str); 5] = [
    ("class", "image"),
    ("class", "plain"),
    ("class", "wide"),
    ("role", "group"),
    ("rel", "nofollow noreferrer"),
];

/// Every attribute that may be there at all: said here again, so that the table cannot excuse itself.
const ATTRIBUTES: [&str; 12] = [
    "align",
    "aria-label",
    "class",
    "colspan",
    "dir",
    "href",
    "open",
    "rel",
    "role",
    "rowspan",
    "start",
    "tabindex",
];

/// What is wrong in some markup, read again as a browser reads it.
#[derive(Default)]
struct Watch {
    wrong: Vec<String>,
    open: Vec<String>,
    deepest: usize,
}

struct Watching(RefCell<Watch>);

impl TokenSink for Watching {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        if let Token::TagToken(tag) = &token {
            self.0.borrow_mut().tag(tag);
        }
        if let Token::CommentToken(_) | Token::DoctypeToken(_) = token {
            self.0.borrow_mut().wrong.push(format!("{token:?}"));
        }
        TokenSinkResult::Continue
    }
}

impl Watch {
    fn tag(&mut self, tag: &Tag) {
        let name = tag.name.to_string();
        if tag.kind == TagKind::EndTag {
            if self.open.pop().as_deref() != Some(&name) {
                self.wrong.push(format!("</{name}> closes something else"));
            }
            return;
        }
        let is_known = matches!(
            allowed::treatment(&name),
            allowed::Treatment::Written(_)
                | allowed::Treatment::Heading(3..)
                | allowed::Treatment::Void(_)
                | allowed::Treatment::Link
        );
        if !is_known {
            self.wrong.push(format!("<{name}>"));
        }
        for attribute in &tag.attrs {
            let (key, value): (&str, &str) = (&attribute.name.local, &attribute.value);
            let is_fine = match key {
                "href" => name == "a" && web_url(value).is_some(),
                "tabindex" => value == "0",
                "aria-label" => value == "table",
                _ => OURS.contains(&(key, value)) || allowed::keeps_attribute(&name, key, value),
            };
            if !is_fine || !ATTRIBUTES.contains(&key) {
                self.wrong.push(format!("<{name} {key}={value:?}>"));
            }
        }
        if !matches!(&*name, "br" | "hr" | "wbr") {
            self.open.push(name);
            self.deepest = self.deepest.max(self.open.len());
        }
    }
}

/// Reads clean markup and says what is wrong with it: elements, attributes, nesting.
fn wrong(html: &str) -> Vec<String> {
    let tokenizer = Tokenizer::new(Watching(RefCell::default()), TokenizerOpts::default());
    let queue = BufferQueue::default();
    queue.push_back(StrTendril::from_slice(html));
    let _ = tokenizer.feed(&queue);
    tokenizer.end();
    let mut watch = tokenizer.sink.0.into_inner();
    if !watch.open.is_empty() {
        watch.wrong.push(format!("left open: {:?}", watch.open));
    }
    // Twice for each written table and once for everything else.
    if watch.deepest > 125 {
        watch.wrong.push(format!("{} deep", watch.deepest));
    }
    watch.wrong
}

fn markdown_of(text: &str) -> String {
    let prose = prose(ProseKind::Markdown, text);
    assert_eq!(wrong(&prose.html), Vec::<String>::new(), "{text}");
    prose.html
}

/// Descriptions of odd kinds, each with what it is about.
const ODD: [(&str, &str); 22] = [
    (
        "raw HTML",
        "<p align=\"center\">\n<b>six</b> &amp; <i>seven</p>\n\nand **more**",
    ),
    (
        "a script",
        "before<script>alert('1 < 2 </p>')</script>after",
    ),
    (
        "handlers",
        "<a href=\"https://a.example\" onclick=\"x()\">a</a> <img src=x onerror=x() alt='A & B'><b onclick=x() style=x>b</b>",
    ),
    (
        "links that run",
        "[a](javascript:alert(1)) <a href=' jAvascript:x'>b</a> <a href=\"data:text/html,x\">c</a>",
    ),
    (
        "images as data",
        "![logo](data:image/png;base64,AAAA) and [![ci](https://a.example/b.svg)](https://a.example)",
    ),
    (
        "a link around nothing",
        "<a href=https://a.example><img src=x></a> <a href=https://b.example></a>",
    ),
    (
        "style",
        "<style>body{display:none}</style><p style=\"position:fixed\" class=x id=main>text",
    ),
    (
        "pictures drawn",
        "<svg onload=x()><g><a href=javascript:x>a</a></g></svg>left <math><mi>x</mi></math>",
    ),
    (
        "a frame",
        "<iframe src=https://a.example><p>inside</iframe>after",
    ),
    (
        "tricks with comments",
        "<!--><script>x()</script><!--<b>--><b>bold",
    ),
    (
        "broken nesting",
        "<b><p>one</b> two</i></p></div></main><li>item<td>cell",
    ),
    (
        "headings",
        "# One\n\n### Three\n\n# One again\n\n<h6>six</h6>",
    ),
    (
        "a table",
        "| a | b |\n|---|--:|\n| `x` | https://a.example/?b=1&c=2 |",
    ),
    ("lists", "- one\n  1. two\n- [x] done\n- [ ] open"),
    (
        "code",
        "```python\nimport six  # <b> & https://a.example\n```\n`<script>`",
    ),
    (
        "right to left",
        "<div dir=\"rtl\">\n\nשלום *עולם*\n\n</div>",
    ),
    (
        "unclosed lists",
        "<ul><li>one<li>two<ul><li>three</ul><li>four",
    ),
    ("a textarea", "<textarea></textarea><script>x()</script>"),
    ("plain text's end", "<plaintext><b>x</b>"),
    (
        "a form",
        "<form action=https://a.example><input name=password><button>go</button></form>",
    ),
    ("entities", "&lt;script&gt; &#60;script&#62; &#x0; &nbsp;x"),
    (
        "details",
        "<details open><summary>more</summary>\n\ntext\n\n</details><summary>lost</summary>",
    ),
];

#[test]
#[expect(clippy::too_many_lines, reason = "what becomes of one table")]
fn descriptions_of_odd_kinds_are_harmless_and_readable() {
    let mut told = String::new();
    for (kind, text) in ODD {
        told.push_str(&format!("--- {kind}\n{}\n", markdown_of(text).trim_end()));
    }
    insta::assert_snapshot!(told, @r#"
    --- raw HTML
    <p align="center">
    <b>six</b> &amp; <i>seven</i></p>
    <p>and <strong>more</strong></p>
    --- a script
    <p>beforeafter</p>
    --- handlers
    <p><a href="https://a.example/" rel="nofollow noreferrer">a</a> <span class="image">A &amp; B</span><b>b</b></p>
    --- links that run
    <p>a b c</p>
    --- images as data
    <p><span class="image">logo</span> and <a href="https://a.example/" rel="nofollow noreferrer"><span class="image">ci</span></a></p>
    --- a link around nothing
    <p><a href="https://a.example/" rel="nofollow noreferrer"><span class="image">image</span></a> <a href="https://b.example/" rel="nofollow noreferrer">b.example</a></p>
    --- style
    <p>text</p>
    --- pictures drawn
    <p>left </p>
    --- a frame
    after
    --- tricks with comments
    <b>bold</b>
    --- broken nesting
    <p><b></b></p><p>one two</p><div>item<div>cell
    </div></div>
    --- headings
    <h3>One</h3>
    <h4>Three</h4>
    <h3>One again</h3>
    <h4>six</h4>
    --- a table
    <div class="wide" tabindex="0" role="group" aria-label="table"><table><thead><tr><th>a</th><th align="right">b</th></tr></thead><tbody>
    <tr><td><code>x</code></td><td align="right"><a href="https://a.example/?b=1&amp;c=2" rel="nofollow noreferrer">https://a.example/<wbr>?<wbr>b=1&amp;<wbr>c=2</a></td></tr>
    </tbody></table></div>
    --- lists
    <ul>
    <li>one
    <ol>
    <li>two</li>
    </ol>
    </li>
    <li>☑
    done</li>
    <li>☐
    open</li>
    </ul>
    --- code
    <pre><code>import six  # &lt;b&gt; &amp; https://a.example
    </code></pre>
    <p><code>&lt;script&gt;</code></p>
    --- right to left
    <div dir="rtl">
    <p>שלום <em>עולם</em></p>
    </div>
    --- unclosed lists
    <ul><li>one</li><li>two<ul><li>three</li></ul></li><li>four</li></ul>
    --- a textarea

    --- plain text's end
    <p><b>x</b></p>
    --- a form
    go
    --- entities
    <p>&lt;script&gt; &lt;script&gt; �  x</p>
    --- details
    <details open=""><summary>more</summary>
    <p>text</p>
    </details><div>lost</div>
    "#);
}

#[test]
fn what_is_not_markdown_is_shown_as_it_is_written() {
    let broken = "Title\n===\n\n.. image:: https://a.example/b.svg\n`six <https://six.example>`_ <script>\u{7}";
    insta::assert_snapshot!(prose(ProseKind::Restructured, broken).html, @r#"
    <pre class="plain">Title
    ===

    .. image:: <a href="https://a.example/b.svg" rel="nofollow noreferrer">https://a.example/<wbr>b.svg</a>
    `six &lt;<a href="https://six.example/" rel="nofollow noreferrer">https://six.example</a>&gt;`_ &lt;script&gt;</pre>
    "#);
    assert_eq!(wrong(&prose(ProseKind::Plain, broken).html), [""; 0]);
}

#[test]
fn hostile_lengths_are_borne() {
    let many = |text: &str, times: usize| text.repeat(times);
    let nested: String = (0..1000)
        .map(|depth| format!("{}- a\n", many("  ", depth)))
        .collect();
    let columns = 20_000;
    let table = format!(
        "{}\n{}\n{}",
        many("|a", columns),
        many("|-", columns),
        many("|b\n", 60_000)
    );
    let amplified: String = (0..9000)
        .map(|number| format!("<p><b title={number}>"))
        .collect();
    let texts = [
        many("All work and no play. ", 250_000),
        nested,
        many("<ul><li>", 30_000),
        many("<b>", 80_000) + &many("</b>", 1000),
        table,
        amplified + &many("</p><p>x", 9000),
        many("> ", 100_000),
        many("[", 100_000) + &many("](x)", 30_000),
        many("*a **b ", 30_000),
        many("`", 100_000),
        many("<a b", 60_000),
        format!(
            "<a {}>",
            (0..60_000)
                .map(|number| format!("a{number} "))
                .collect::<String>()
        ),
        format!(
            "<img src=\"data:image/png;base64,{}\">x",
            many("A", 200_000)
        ),
        many("https://a.example ", 14_000),
        many("http://", 30_000),
        format!("https://a.example/{}", many(")", 200_000)),
        many("&", 256 << 10),
        many("\"", 256 << 10),
        many("<!--", 60_000),
        many("é", 200_000),
    ];
    for text in texts {
        for kind in [ProseKind::Markdown, ProseKind::Plain] {
            let prose = prose(kind, &text);
            let what = &text[..text.floor_char_boundary(40)];
            assert_eq!(wrong(&prose.html), [""; 0], "{what}");
            assert!(prose.html.len() < 4 << 20, "{what}: {}", prose.html.len());
            let is_long = text.len() > rendering::SHOWN_BYTES_MAX;
            assert!(prose.is_cut || !is_long, "{what}");
        }
    }
}

/// Pieces that matter to whoever reads markup.
fn piece() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "<p ",
        "<td ",
        "<script>",
        "</script>",
        "<svg",
        "<math>",
        "<a href=",
        "javascript:",
        "\"",
        "'",
        ">",
        "<",
        "</a>",
        " onload=",
        "<style>",
        "</style>",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "&lt;",
        "&#106;",
        "<p>",
        "</p>",
        "<table>",
        "<td>",
        "<title>",
        "</title>",
        "<textarea>",
        "<plaintext>",
        "<template>",
        "<img src=x ",
        "/>",
        "\n",
        "# ",
        "- ",
        "```\n",
        "[a](",
        ")",
        "|a|\n|-|\n|",
        "<li>",
        "<ul>",
        "</ul>",
        "\0",
        "<noscript>",
        "<xmp>",
        "<b>",
        "</b>",
        "<h1>",
        "https://a.example/",
        "<details>",
        "<summary>",
        "=",
        "`",
        "*",
        "![",
        "](",
    ]);
    prop_oneof![
        4 => known.prop_map(str::to_owned),
        1 => "[ -~]{0,6}",
        1 => any::<char>().prop_map(String::from),
    ]
}

proptest! {
    #[test]
    fn no_input_leaves_more_than_the_table_allows(
        pieces in prop::collection::vec(piece(), 0..40),
    ) {
        let text = pieces.concat();
        for kind in [ProseKind::Markdown, ProseKind::Restructured] {
            let prose = prose(kind, &text);
            prop_assert_eq!(wrong(&prose.html), Vec::<String>::new());
            prop_assert!(!prose.html.contains("<script"));
        }
        let cleaned = clean::clean(&text).expect("short");
        prop_assert_eq!(wrong(&cleaned.html), Vec::<String>::new());
    }
}
