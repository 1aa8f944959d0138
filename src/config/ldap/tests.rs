//! The block as devpi-ldap has it, and what is said against others.

use super::*;
use crate::config::devpi_file::devpi_file_faults;
use crate::config::load::tests::{folder, load_folder};
use crate::config::settings::Overrides;
use crate::config::{Named, PoliciesPath, load, load_what_can_be};

/// The block as the manual of devpi-ldap has it, for a directory and for an Active Directory.
const BLOCKS: [&str; 2] = [
    "
    url: ldap://localhost
    user_search:
      base: ou=people,dc=corp,dc=example
      filter: (&(objectClass=person)(uid={username}))
      attribute_name: distinguishedName
      userdn: cn=reader,dc=corp,dc=example
      password: s3cret
    group_search:
      base: ou=groups,dc=corp,dc=example
      filter: (&(objectClass=group)(member={userdn}))
      scope: single-level
      attribute_name: CN
    timeout: 3
    reject_as_unknown: true
",
    "
    server_pool:
      - url: ldaps://one.corp.example
        tls: { validate: 2, ca_certs_file: ca.pem }
      - url: ldaps://two.corp.example:1636
    tls: { validate: 0, version: 5 }
    referrals: false
    user_template: '{username}@corp.example'
",
];

fn in_yaml(block: &str) -> String {
    format!("manage:\n  ldap:{block}")
}

fn read(yaml: &str) -> Result<(DirectorySettings, String), String> {
    let folder = folder(&[("a.yaml", yaml)]);
    let loaded = load_folder(&folder, &[("PASS", "from-env")])?;
    let warnings: Vec<_> = loaded.warnings.iter().map(|one| one.what.clone()).collect();
    Ok((loaded.config.manage.ldap.unwrap(), warnings.join("; ")))
}

#[test]
fn the_block_of_devpi_ldap_reads_as_it_is() {
    let (settings, warnings) = read(&in_yaml(BLOCKS[0])).unwrap();
    assert_eq!(warnings, "");
    assert_eq!(settings.servers[0].url.as_str(), "ldap://localhost");
    assert!(settings.servers[0].tls.is_verified);
    assert_eq!(
        (settings.timeout, settings.recheck),
        (Duration::from_secs(3), DIRECTORY_RECHECK_MAX)
    );
    let FindUser::Search(user) = &settings.user else {
        panic!("{settings:?}")
    };
    assert_eq!(
        (user.scope, &*user.attribute),
        (DirectoryScope::Subtree, "distinguishedName")
    );
    assert_eq!(user.account.as_ref().unwrap().password.expose(), "s3cret");
    let groups = settings.groups.as_ref().unwrap();
    assert_eq!(
        (groups.scope, &*groups.attribute),
        (DirectoryScope::OneLevel, "CN")
    );
    assert_eq!(groups.account, None);
    assert!(!format!("{settings:?}").contains("s3cret"));

    let (settings, warnings) = read(&in_yaml(BLOCKS[1])).unwrap();
    assert!(
        warnings.starts_with("validate: whoever answers"),
        "{warnings}"
    );
    assert!(
        warnings.ends_with("logins and tokens of users who leave go on"),
        "{warnings}"
    );
    let [one, two] = &settings.servers[..] else {
        panic!("{settings:?}")
    };
    assert!(one.tls.is_verified && !two.tls.is_verified);
    assert!(
        matches!(&one.tls.authorities[..], [CertificateSource::File(path)] if path.ends_with("ca.pem"))
    );
    assert!(matches!(settings.user, FindUser::Template(_)) && settings.groups.is_none());
}

#[test]
fn devpis_own_file_says_the_same() {
    for block in BLOCKS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("devpi.yml");
        std::fs::write(
            &path,
            format!("devpi-server:\n  port: 4040\ndevpi-ldap:{block}"),
        )
        .unwrap();
        let overrides = Overrides {
            devpi_file: Some(path.clone()),
            bare: true,
            ..Overrides::default()
        };
        let source = PoliciesPath::Default {
            folder: folder.path().to_owned(),
        };
        let loaded = load(&source, &overrides, &|_| None).unwrap();
        let mut theirs = loaded.config.manage.ldap.unwrap();
        let (ours, _) = read(&in_yaml(block)).unwrap();
        for (theirs, ours) in theirs.servers.iter_mut().zip(&ours.servers) {
            theirs.tls.authorities.clone_from(&ours.tls.authorities);
        }
        assert_eq!(theirs, ours);
        assert!(devpi_file_faults(&path, &|_| None).0.is_empty());
    }
}

#[test]
fn a_block_of_devpis_file_that_nothing_acts_on_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("devpi.yml");
    std::fs::write(
        &path,
        "devpi-server: {}\ndevpi-saml:\n  idp: x\ndevpi-ldap: {url: 'http://x'}\n",
    )
    .unwrap();
    let faults = devpi_file_faults(&path, &|_| None).to_string();
    let faults = faults.replace(&format!("{}/", folder.path().display()), "");
    insta::assert_snapshot!(faults, @r"
    devpi.yml:2:1: devpi-saml: nothing here acts on this block, remove it, or say what it says in a file of policies
    devpi.yml:4:13: devpi-ldap without user_template or user_search, give one of them
    devpi.yml:4:19: url: not a URL such as ldaps://ldap.corp.example
    ");
}

#[test]
fn what_is_wrong_is_said_without_a_secret() {
    let yaml = "manage:
  ldap:
    url: ldap://me:s3cret@ldap.corp.example
    server_pool: []
    user_search: { base: x, filter: '(uid={userdn})', userdn: cn=x }
    group_search: { filter: '(cn=x)', scope: all, password: s3cret, password_env: NONE }
    timeout: 2m
    recheck: 5m
    referral: true
    tls: { valid_names: [x], sni: y, local_certificate_file: a.pem, validate: perhaps }
";
    let faults = read(yaml).unwrap_err();
    assert!(!faults.contains("s3cret"), "{faults}");
    insta::assert_snapshot!(faults, @r#"
    a.yaml:3:5: manage.ldap with url and server_pool, give one of them
    a.yaml:3:10: url: not a URL such as ldaps://ldap.corp.example, leave out what follows the host and the port
    a.yaml:4:18: server_pool without a server
    a.yaml:5:18: user_search with userdn and no password, give password or password_env
    a.yaml:5:37: filter: {userdn} is what user_search looks for, ask by {username}
    a.yaml:6:19: group_search with password and password_env, keep one
    a.yaml:6:19: group_search without base, say where and for what it looks
    a.yaml:6:29: filter: "(cn=x)" is the same for everybody, put {username} where their name goes
    a.yaml:6:46: scope: "all" is not base-object, single-level or whole-subtree
    a.yaml:7:14: timeout: not from 1ms to 60 s
    a.yaml:8:14: recheck: not from 1ms to 60 s
    a.yaml:9:5: unknown key "referral", did you mean "referrals"?
    a.yaml:10:10: local_certificate_file and local_private_key_file belong together, give both
    a.yaml:10:10: tls.valid_names is not supported, name the server in the url as its certificate does
    a.yaml:10:35: tls.sni is not supported, name the server as its certificate does
    a.yaml:10:79: validate: "perhaps" is not required (2) or none (0)
    "#);
    insta::assert_snapshot!(read("manage: { ldap: {} }").unwrap_err(), @r"
    a.yaml:1:17: manage.ldap without url or server_pool, give one of them
    a.yaml:1:17: manage.ldap without user_template or user_search, give one of them
    ");
    let unset = in_yaml(BLOCKS[0]).replace("password: s3cret", "password_env: NONE");
    insta::assert_snapshot!(read(&unset).unwrap_err(), @"a.yaml:9:21: password_env: NONE is not set, set it, or name another variable");
}

#[test]
fn a_filter_that_no_server_reads_is_a_fault_and_so_is_a_block_at_another_place() {
    for filter in [
        "(&(objectClass=person)(uid={username})",
        "uid={username}))",
        "(uid={username}",
        "(uid={username})(a=b)",
        "(&(uid{username}))",
    ] {
        let yaml = in_yaml(BLOCKS[0]).replace("(&(objectClass=person)(uid={username}))", filter);
        let faults = read(&yaml).unwrap_err();
        assert_eq!(
            faults.trim_end(),
            "a.yaml:6:15: filter: not a filter of LDAP (RFC 4515), each comparison stands in parentheses: \
             (&(a=b)(c={username}))",
            "{filter}"
        );
    }
    for filter in [
        "uid={username}",
        "(member:1.2.840.113556.1.4.1941:={username})",
    ] {
        let yaml = in_yaml(BLOCKS[0]).replace("(&(objectClass=person)(uid={username}))", filter);
        assert!(read(&yaml).is_ok(), "{filter}");
    }
    let faults = read("ldap: { url: 'ldaps://x.example' }\n").unwrap_err();
    assert_eq!(
        faults.trim_end(),
        "a.yaml:1:1: unknown key \"ldap\", put it below manage: manage.ldap"
    );
}

#[test]
fn who_may_make_users_is_no_question_where_others_know_some() {
    for (manage, is_warned) in [
        ("create_users: everyone, remote_user: true", true),
        ("create_users: users, remote_user: true", true),
        ("create_users: root, remote_user: true", false),
        ("create_users: everyone, remote_user: false", false),
    ] {
        let yaml = format!("manage: {{ {manage} }}\ntrusted_proxies: 10.0.0.1\n");
        let loaded = load_folder(&folder(&[("a.yaml", &yaml)]), &[]).unwrap();
        let warned = loaded.warnings.iter().map(|one| one.what.clone());
        let expected =
            "create_users: while a directory or a proxy knows users, only root makes them";
        let expected = is_warned.then(|| expected.to_owned());
        assert_eq!(
            warned.collect::<Vec<_>>(),
            Vec::from_iter(expected),
            "{manage}"
        );
    }
}

#[test]
fn a_url_that_is_none_is_one_fault() {
    for (block, expected) in [
        (
            "url: ldap.corp.example, user_template: '{username}@x'",
            "a.yaml:1:24: url: not a URL such as ldaps://ldap.corp.example",
        ),
        (
            "server_pool: [ldaps://ldap.corp.example], user_template: '{username}@x'",
            "a.yaml:1:33: expected a mapping, found a single value",
        ),
    ] {
        let folder = folder(&[("a.yaml", &format!("manage: {{ ldap: {{ {block} }} }}\n"))]);
        let source = PoliciesPath::Named(folder.path().to_owned());
        let none = Overrides::default();
        let (loaded, faults) = load_what_can_be(&source, &none, &|_| None, &mut Named::default());
        let faults = faults
            .to_string()
            .replace(&format!("{}/", folder.path().display()), "");
        assert_eq!(faults.trim_end(), expected);
        // Nothing is left in which `check` could find another.
        assert_eq!(loaded.config.manage.ldap, None);
    }
}

#[test]
fn a_password_may_be_in_a_variable() {
    let yaml = in_yaml(BLOCKS[0]).replace("password: s3cret", "password_env: PASS");
    let (settings, _) = read(&yaml).unwrap();
    let FindUser::Search(user) = settings.user else {
        panic!("{yaml}")
    };
    assert_eq!(user.account.unwrap().password.expose(), "from-env");
}

#[test]
fn what_is_dangerous_is_warned_of() {
    let base = "user_search: {base: x, filter: '(uid={username})'}";
    for (block, expected) in [
        (format!("{{url: 'ldap://127.0.0.1:389', {base}}}"), ""),
        (format!("{{url: 'ldap://[::1]', {base}}}"), ""),
        (format!("{{url: 'ldaps://ldap.corp.example', {base}}}"), ""),
        (
            format!("{{url: 'ldap://ldap.corp.example', tls: {{start_tls: true}}, {base}}}"),
            "",
        ),
        (
            format!("{{url: 'ldap://ldap.corp.example', {base}}}"),
            "passwords go to this server as they are, for everybody on the way to read",
        ),
        (
            format!("{{url: 'ldaps://x.example', referrals: true, {base}}}"),
            "referrals: they are never followed: a password goes to the servers named here only",
        ),
        (
            format!(
                "{{url: 'ldaps://x.example', {base}, group_search: {{base: x, filter: '(m={{userdn}})'}}}}"
            ),
            "group_search without userdn: groups of a login or a token are looked for as nobody",
        ),
        (
            "{url: 'ldaps://x.example', user_template: 'uid={username},dc=x'}".to_owned(),
            "user_template without an account that searches: whether a user is still there is asked as nobody",
        ),
        (
            "{url: 'ldaps://x.example', user_template: 'uid={username},dc=x', \
             group_search: {base: x, filter: '(m={userdn})', userdn: x, password: y}}"
                .to_owned(),
            "",
        ),
        (
            "{url: 'ldaps://x.example', user_template: '{username}@x', \
             group_search: {base: x, filter: '(m={username})', userdn: x, password: y}}"
                .to_owned(),
            "user_template names no entry, so nobody is asked whether a user is still there: \
             logins and tokens of users who leave go on",
        ),
    ] {
        let (_, warnings) = read(&format!("manage: {{ldap: {block}}}")).unwrap();
        assert_eq!(warnings, expected, "{block}");
    }
}
