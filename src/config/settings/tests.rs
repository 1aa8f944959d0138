//! What settings become: defaults, precedence, and faults in words.

use super::*;
use crate::config::doors::Listen;
use crate::language::Node;

fn config(text: &str, overrides: &Overrides, variables: &[(&str, &str)]) -> Result<Config, String> {
    let mut notes = Notes::default();
    let mut server = Server::default();
    let node = Node::parse(&"c.yaml".into(), text).unwrap();
    let fields = notes.fields(&node, &[SERVER]);
    server.add(&fields, &mut notes);
    let env = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let config = resolve(server, overrides, &env, true, &mut notes);
    notes.faults.or(config).map_err(|faults| faults.to_string())
}

#[test]
fn the_defaults_are_those_of_the_tables() {
    let config = config("", &Overrides::default(), &[]).unwrap();
    assert_eq!(config.data, PathBuf::from("data"));
    assert_eq!(
        config.cache,
        CacheConfig {
            memory: 256 << 20,
            disk: 50 << 30,
            stale_if_error: Duration::from_hours(168),
            stale_while_revalidate: Duration::from_mins(1),
            patience: Duration::from_millis(250),
        }
    );
    assert_eq!((config.offline, config.log), (false, LogStyle::Auto));
    assert_eq!((config.devpi, config.root_password), (None, None));
    assert_eq!(default::<Undeclared>("devpi.undeclared"), Undeclared::Pass);
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file() {
    let file = "{data: file, listen: {public: ':1'}, offline: false}";
    let variables = [
        ("CHEESECLOTH_DATA", "env"),
        ("CHEESECLOTH_PUBLIC", ":2"),
        ("CHEESECLOTH_OFFLINE", "yes"),
    ];
    let flags = Overrides {
        data: Some("flag".into()),
        public: Some(":3".into()),
        ..Overrides::default()
    };
    let port = |config: &Config| match &config.listen.public.place {
        Listen::Tcp { address, .. } => address.port(),
        Listen::Off | Listen::Unix { .. } => 0,
    };
    let none = Overrides::default();
    let seen = [
        config(file, &none, &[]).unwrap(),
        config(file, &none, &variables).unwrap(),
        config(file, &flags, &variables).unwrap(),
        config(file, &none, &[("CHEESECLOTH_DATA", " ")]).unwrap(),
    ]
    .map(|config| {
        (
            config.data.display().to_string(),
            port(&config),
            config.offline,
        )
    });
    let wanted = [
        ("file", 1, false),
        ("env", 2, true),
        ("flag", 3, true),
        ("file", 1, false),
    ];
    assert_eq!(
        seen,
        wanted.map(|(data, port, offline)| (data.into(), port, offline))
    );
}

#[test]
fn what_waits_for_a_restart_is_named() {
    let read = |text: &str| config(text, &Overrides::default(), &[]).unwrap();
    let door = |cert: &str| format!("listen: {{manage: {{tls: {{cert: {cert}, key: k.pem}}}}}}\n");
    let before = read(&door("a.pem"));
    assert!(before.waiting_for_restart(&read(&door("b.pem"))).is_empty());
    let after = read("data: x\nlimits: {head: 32KiB}\ncache: {disk: 1GiB}\nlog: {format: json}\n");
    let waiting = before.waiting_for_restart(&after);
    assert_eq!(waiting, ["listen", "data", "cache", "limits", "log"]);
    // Upstreams' limits take effect immediately.
    let after = read(&format!("{}limits: {{redirects: 2}}\n", door("a.pem")));
    assert!(before.waiting_for_restart(&after).is_empty());
}

#[test]
fn root_gets_the_password_of_either_variable() {
    let none = Overrides::default();
    let both = [
        ("CHEESECLOTH_ROOT_PASSWORD", "ours"),
        ("DEVPI_PASSWORD", "theirs"),
    ];
    let password = |variables: &[(&str, &str)]| {
        let secret = config("", &none, variables).unwrap().root_password;
        secret.map(|secret| secret.expose().to_owned())
    };
    assert_eq!(password(&both).as_deref(), Some("ours"));
    assert_eq!(password(&both[1..]).as_deref(), Some("theirs"));
    assert_eq!(password(&[("DEVPI_PASSWORD", "")]), None);
}

#[test]
fn faults_name_the_flag_or_the_variable() {
    let flags = Overrides {
        manage: Some("devpi:3141".into()),
        ..Overrides::default()
    };
    let variables = [
        ("CHEESECLOTH_PUBLIC", "here"),
        ("CHEESECLOTH_OFFLINE", "perhaps"),
    ];
    insta::assert_snapshot!(config("devpi: {}", &flags, &variables).unwrap_err(), @r#"
    --manage: "devpi:3141" is not an address such as "127.0.0.1:4040", ":4040", "unix:/path" or "off", name the host by its IP address
    CHEESECLOTH_OFFLINE: "perhaps" is not true or false
    CHEESECLOTH_PUBLIC: "here" is not an address such as "127.0.0.1:4040", ":4040", "unix:/path" or "off"
    c.yaml:1:8: devpi without servers, name at least one, such as servers: ["http://127.0.0.1:3142"]
    "#);
}

#[test]
fn the_devpi_server_spelling_may_manage_without_tls() {
    let mut flags = Overrides {
        manage: Some("0.0.0.0:3141".into()),
        ..Overrides::default()
    };
    assert!(config("", &flags, &[]).unwrap_err().contains("without TLS"));
    flags.manage_plain = true;
    assert!(config("", &flags, &[]).is_ok());
}

#[test]
fn a_door_for_proxies_needs_to_know_them() {
    let none = Overrides::default();
    let door = "listen: {public: {proxy_protocol: true}}";
    let faults = config(&format!("{{{door}}}"), &none, &[]).unwrap_err();
    let wanted = "c.yaml:1:19: listen.public: proxy_protocol without trusted_proxies lets nobody in, \
                  name them: trusted_proxies: [10.0.0.0/8]";
    assert_eq!(faults, wanted);
    let known = format!("{{{door}, trusted_proxies: [10.0.0.0/8, 192.0.2.1]}}");
    let config = config(&known, &none, &[]).unwrap();
    assert!(config.listen.public.is_behind_proxies && !config.listen.manage.is_behind_proxies);
    let proxies: Vec<_> = config
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(proxies, ["10.0.0.0/8", "192.0.2.1/32"]);
}

#[test]
fn a_proxy_that_names_users_is_named_itself() {
    let none = Overrides::default();
    let faults = config("{manage: {remote_user: true}}", &none, &[]).unwrap_err();
    let wanted = "c.yaml:1:24: manage.remote_user without trusted_proxies: nobody may name a user, \
                  name the proxies: trusted_proxies: [10.0.0.0/8]";
    assert_eq!(faults, wanted);
    let known = "{manage: {remote_user: true}, trusted_proxies: 10.0.0.0/8}";
    assert!(config(known, &none, &[]).unwrap().manage.remote_user);
    assert!(!config("{}", &none, &[]).unwrap().manage.remote_user);
}

/// A value of the wrong type at every key of a table: a key that nothing reads would stay silent.
#[test]
fn no_key_of_a_table_is_left_unread() {
    let mut tables = vec![("@".to_owned(), &[SERVER] as Table)];
    while let Some((frame, table)) = tables.pop() {
        for key in keys(table) {
            let wrong = "{'': [[]]}";
            let text = frame.replace('@', &format!("{{{}: {wrong}}}", key.name));
            let faults = config(&text, &Overrides::default(), &[]).unwrap_err();
            let is_named = matches!(key.shape, Shape::Named(..));
            assert!(
                is_named
                    || faults.contains("found a mapping")
                    || faults.contains("unknown key \"\""),
                "{text}: {faults}"
            );
            if let Shape::Table(inner) = key.shape {
                tables.push((frame.replace('@', &format!("{{{}: @}}", key.name)), inner));
            }
        }
    }
}

/// The same at all keys of one line.
#[test]
fn every_fault_of_one_line_is_told() {
    let mut tables = vec![("@".to_owned(), &[SERVER] as Table)];
    while let Some((frame, table)) = tables.pop() {
        let is_word = |shape| !matches!(shape, Shape::Table(_) | Shape::Named(..));
        let words = keys(table).filter(|key| is_word(key.shape));
        let names: Vec<_> = words.map(|key| key.name).collect();
        let wrong = names.iter().map(|name| format!("{name}: {{'': [[]]}}"));
        let text = frame.replace(
            '@',
            &format!("{{{}}}", wrong.collect::<Vec<_>>().join(", ")),
        );
        if let Err(faults) = config(&text, &Overrides::default(), &[]) {
            for name in &names {
                let is_told = faults.contains(&format!("{name}: expected "));
                let is_table = faults.matches("unknown key \"\"").count() > 0;
                assert!(is_told || is_table, "{name} in {text}: {faults}");
            }
        } else {
            assert!(names.is_empty(), "{text}");
        }
        for key in keys(table) {
            if let Shape::Table(inner) = key.shape {
                tables.push((frame.replace('@', &format!("{{{}: @}}", key.name)), inner));
            }
        }
    }
}
