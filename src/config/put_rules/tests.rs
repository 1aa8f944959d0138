//! Rules into policies as people write them.

use super::*;

fn rule() -> RuleText {
    RuleText {
        flow: "{ allow: { project: six } }".to_owned(),
        block: ["- allow:", "    project: six"].map(str::to_owned).into(),
    }
}

fn put(text: &str) -> Result<String, String> {
    let put = put_rules(&"p.yaml".into(), text, "house", 0, &[rule()]);
    put.map_err(|fault| fault.to_string())
}

#[test]
fn a_list_of_lines_gets_lines_and_keeps_its_comments_and_indentation() {
    let text = "\
# ours
policies:
   house:   # the house's
      mode: enforce
      rules:   # the first that matches
      # leaks
      - deny: { project: requests }   # all of it

      - deny:
          project:  'x'
   other: { rules: [ { deny: { project: y } } ] }
";
    insta::assert_snapshot!(put(text).unwrap(), @"
    # ours
    policies:
       house:   # the house's
          mode: enforce
          rules:   # the first that matches
          - allow:
              project: six
          # leaks
          - deny: { project: requests }   # all of it

          - deny:
              project:  'x'
       other: { rules: [ { deny: { project: y } } ] }
    ");
}

#[test]
fn a_list_may_stand_as_deep_as_its_key_and_keys_may_be_quoted() {
    let text = "policies:\n  \"house\":\n    rules:\n\n    # one\n    - deny: { project: x }\n    default: deny\n";
    insta::assert_snapshot!(put(text).unwrap(), @r#"
    policies:
      "house":
        rules:
        - allow:
            project: six

        # one
        - deny: { project: x }
        default: deny
    "#);
}

#[test]
fn lists_in_brackets_get_entries() {
    let table = [
        "policies: { house: { rules: [{ deny: { project: x } }] } }\n",
        "policies:\n  house:\n    rules: [ # none yet\n      { deny: { project: x } }, # x\n    ]\n",
        "policies: { house: { rules: [] } }",
        "policies:\n  house: { default: deny }\n",
        "{policies: {house: {default: deny}, other: {default: deny}}}",
    ];
    let all = table.map(|text| put(text).unwrap());
    insta::assert_snapshot!(all.join("\n---\n"), @"
    policies: { house: { rules: [
        { allow: { project: six } },
      { deny: { project: x } }] } }

    ---
    policies:
      house:
        rules: [
            { allow: { project: six } },
           # none yet
          { deny: { project: x } }, # x
        ]

    ---
    policies: { house: { rules: [
        { allow: { project: six } }
      ] } }
    ---
    policies:
      house: { rules: [
          { allow: { project: six } },
        ], default: deny }

    ---
    {policies: {house: { rules: [
        { allow: { project: six } },
      ],default: deny}, other: {default: deny}}}
    ");
}

#[test]
fn a_policy_without_rules_gets_them_first() {
    let text = "policies:\r\n  house:\r\n    # strict\r\n    default: deny\r\n";
    let put = put(text).unwrap();
    insta::assert_snapshot!(put.replace("\r\n", "|\n"), @"
    policies:|
      house:|
        rules:|
          - allow:|
              project: six|
        # strict|
        default: deny|
    ");
    assert_eq!(put.matches('\n').count(), put.matches("\r\n").count());
}

#[test]
fn what_would_change_more_than_the_policy_is_left_to_people() {
    let more = "with rules in policy house, more than this policy would change";
    let table = [
        // Two policies share their rules.
        (
            "policies:\n  other:\n    rules: &r\n    - deny: { project: x }\n  house:\n    rules: *r\n",
            "rules cannot be put into policy house as it is written here",
        ),
        (
            "policies:\n  house:\n    rules: &r\n    - deny: { project: x }\n  other:\n    rules: *r\n",
            more,
        ),
        (
            "policies:\n  other: &o\n    rules:\n    - deny: { project: x }\n  house: { <<: *o, mode: audit }\n",
            more,
        ),
        (
            "policies:\n  house:\n",
            "p.yaml:2:3: rules cannot be put into policy house as it is written here",
        ),
        ("policies: { house: { mode: audit }\n", "not valid YAML"),
        (
            "policies: { other: { default: deny } }",
            "p.yaml does not have policy house, name the file that has it",
        ),
    ];
    for (text, words) in table {
        let fault = put(text).unwrap_err();
        assert!(fault.contains(words), "{text}: {fault}");
    }
}

fn put_below(text: &str, above: usize) -> String {
    put_rules(&"p.yaml".into(), text, "house", above, &[rule()]).unwrap()
}

#[test]
fn what_stands_above_stays_there() {
    let block = "\
policies:
  house:
    rules:
    # known to be bad
    - deny: { advisory: malware }
    # young
    - deny:
        younger_than: 7d
    # the end

    default: deny
";
    insta::assert_snapshot!(put_below(block, 1), @"
    policies:
      house:
        rules:
        # known to be bad
        - deny: { advisory: malware }
        - allow:
            project: six
        # young
        - deny:
            younger_than: 7d
        # the end

        default: deny
    ");
    insta::assert_snapshot!(put_below(block, 2), @"
    policies:
      house:
        rules:
        # known to be bad
        - deny: { advisory: malware }
        # young
        - deny:
            younger_than: 7d
        - allow:
            project: six
        # the end

        default: deny
    ");
}

#[test]
fn what_stands_above_in_brackets_stays_there() {
    let flow =
        "policies: { house: { rules: [{ deny: { project: 'x]' } }, { deny: { project: y } }] } }\n";
    insta::assert_snapshot!(put_below(flow, 1), @"policies: { house: { rules: [{ deny: { project: 'x]' } }, { allow: { project: six } }, { deny: { project: y } }] } }");
    insta::assert_snapshot!(put_below(flow, 2), @"policies: { house: { rules: [{ deny: { project: 'x]' } }, { deny: { project: y } }, { allow: { project: six } }] } }");
    let lines = "policies:\n  house:\n    rules: [\n      { deny: { project: x } }, # ]\n      { deny: { project: y } }, # 'y\n    ]";
    insta::assert_snapshot!(put_below(lines, 1), @"
    policies:
      house:
        rules: [
          { deny: { project: x } }, # ]
          { allow: { project: six } },
          { deny: { project: y } }, # 'y
        ]
    ");
    insta::assert_snapshot!(put_below(lines, 2), @"
    policies:
      house:
        rules: [
          { deny: { project: x } }, # ]
          { deny: { project: y } }, # 'y
          { allow: { project: six } }
        ]
    ");
    let end = "policies:\n  house:\n    rules:\n    - deny: { project: x }";
    insta::assert_snapshot!(put_below(end, 1), @"
    policies:
      house:
        rules:
        - deny: { project: x }
        - allow:
            project: six
    ");
}

#[test]
fn rules_are_counted_to_the_first_that_is_named() {
    let text =
        "policies:\n  house:\n    rules:\n    - deny: { project: x }\n    - deny: { project: y }\n";
    let above =
        |places: &[(&str, u32)]| rules_above(&"p.yaml".into(), text, "house", places).unwrap();
    assert_eq!(above(&[("p.yaml", 5), ("p.yaml", 4)]), 0);
    assert_eq!(above(&[("p.yaml", 5)]), 1);
    assert_eq!(above(&[("q.yaml", 4)]), 2);
    assert_eq!(above(&[]), 2);
}

proptest::proptest! {
    #[test]
    fn however_it_is_written_the_rest_is_as_before(
        indent in 1..5_usize, dash in 0..4_usize, comment in "( #[ a-z'{\\[-]{0,9})?", is_flow: bool, blank in 0..3_usize, above in 0..2_usize,
    ) {
        let (outer, inner) = (" ".repeat(indent), " ".repeat(indent * 2));
        let blank = "\n".repeat(blank);
        let list = match is_flow {
            true => format!("{inner}rules: [{comment}\n{inner} {{ deny: {{ project: x }} }} ]\n"),
            false => {
                let dash = " ".repeat(dash);
                format!("{inner}rules:{comment}\n{blank}{inner}{dash}-  deny:{comment}\n{inner}{dash}     project: x\n")
            }
        };
        let text = format!("a: 1{comment}\npolicies:{comment}\n{outer}house:\n{list}{outer}other:{comment}\n{inner}mode: audit\n");
        let put = put_rules(&"p.yaml".into(), &text, "house", above, &[rule()]).unwrap();
        // Every line that was there is there, in its order.
        let mut lines = put.lines();
        for line in text.lines() {
            let bare = |text: &str| text.trim_end_matches([' ', ',', ']']).to_owned();
            let found = lines.any(|one| {
                let is_split = line.starts_with(one) && one.ends_with('[');
                one == line || is_split || is_flow && above == 1 && bare(one).starts_with(&bare(line))
            });
            proptest::prop_assert!(found, "{line:?} is gone:\n{put}");
        }
    }
}
