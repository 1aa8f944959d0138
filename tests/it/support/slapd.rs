//! A real directory: Debian's slapd with its database in a temporary folder, on ports of its own, ended
//! when it is dropped.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::debian::{libraries, run, unpacked_with_needs};
use super::tls::self_signed;

/// The longest start; generous, for a busy machine.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// Time between two looks whether it listens.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Everybody's place.
const SUFFIX: &str = "dc=corp,dc=example";

/// The account that may change everything.
const ADMIN: &str = "cn=admin,dc=corp,dc=example";

/// Its password.
const ADMIN_PASSWORD: &str = "admin-pw";

/// The account that searches: [`SEARCHER`]'s password is `searcher-pw`. Nobody may search without one.
pub(crate) const SEARCHER: &str = "cn=searcher,dc=corp,dc=example";

/// Users `anna` and `bert` with the passwords `anna-pw` and `bert-pw`; anna is in `team-a` and `all`.
const PEOPLE: &str = "
dn: dc=corp,dc=example
objectClass: dcObject
objectClass: organization
o: Corp
dc: corp

dn: cn=searcher,dc=corp,dc=example
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: searcher
userPassword: searcher-pw

dn: ou=people,dc=corp,dc=example
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=corp,dc=example
objectClass: organizationalUnit
ou: groups

dn: uid=anna,ou=people,dc=corp,dc=example
objectClass: inetOrgPerson
uid: anna
cn: Anna
sn: A
userPassword: anna-pw

dn: uid=bert,ou=people,dc=corp,dc=example
objectClass: inetOrgPerson
uid: bert
cn: Bert
sn: B
userPassword: bert-pw

dn: uid=root,ou=people,dc=corp,dc=example
objectClass: inetOrgPerson
uid: root
cn: Somebody called root
sn: R
userPassword: root-pw

dn: cn=team-a,ou=groups,dc=corp,dc=example
objectClass: groupOfNames
cn: team-a
member: uid=anna,ou=people,dc=corp,dc=example
member: cn=admin,dc=corp,dc=example

dn: cn=all,ou=groups,dc=corp,dc=example
objectClass: groupOfNames
cn: all
member: uid=anna,ou=people,dc=corp,dc=example
member: uid=bert,ou=people,dc=corp,dc=example
";

/// A running directory.
pub(crate) struct Slapd {
    folder: TempDir,
    root: PathBuf,
    plain: u16,
    encrypted: u16,
    /// Who may look at entries, as slapd writes it.
    readers: String,
    server: Mutex<Option<Child>>,
}

impl Slapd {
    /// Starts a directory with a few people in it, and a certificate for `localhost`.
    ///
    /// # Panics
    /// When slapd cannot be had or does not start, with its words.
    pub(crate) fn start() -> Self {
        Self::read_by(&format!("by dn.exact={SEARCHER} read by * none"))
    }

    /// The same, where everybody may look at everything but passwords.
    pub(crate) fn open() -> Self {
        Self::read_by("by * read")
    }

    fn read_by(readers: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("ldap").tempdir().unwrap();
        let root = unpacked_with_needs("slapd").expect("slapd and its libraries are unpacked");
        let port = || {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().port()
        };
        let slapd = Self {
            plain: port(),
            encrypted: port(),
            readers: readers.to_owned(),
            server: Mutex::new(None),
            folder,
            root,
        };
        slapd.settle();
        slapd.go_on();
        slapd
    }

    /// Writes its files. It takes a bind without a password for one that succeeds, as the careless do.
    fn settle(&self) {
        let folder = self.folder.path();
        fs::create_dir(folder.join("db")).unwrap();
        self_signed(folder, "localhost");
        let (etc, modules) = (
            self.root.join("etc/ldap/schema"),
            self.root.join("usr/lib/ldap"),
        );
        let schemas = ["core", "cosine", "inetorgperson"];
        let schemas = schemas.map(|name| format!("include {}/{name}.schema\n", etc.display()));
        let configuration = format!(
            "{}modulepath {}\nmoduleload back_mdb\npidfile {folder}/pid\n\
             allow bind_anon_cred bind_anon_dn\n\
             TLSCertificateFile {folder}/cert.pem\nTLSCertificateKeyFile {folder}/key.pem\n\
             database mdb\nsuffix {SUFFIX}\nrootdn {ADMIN}\nrootpw {ADMIN_PASSWORD}\n\
             directory {folder}/db\ndbnosync\n\
             access to attrs=userPassword by anonymous auth by * none\n\
             access to * {readers}\n",
            schemas.concat(),
            modules.display(),
            folder = folder.display(),
            readers = self.readers,
        );
        fs::write(folder.join("slapd.conf"), configuration).unwrap();
        fs::write(folder.join("people.ldif"), PEOPLE).unwrap();
        let mut add = self.command("usr/sbin/slapadd");
        add.arg("-q").arg("-f").arg(folder.join("slapd.conf"));
        run(add.arg("-l").arg(folder.join("people.ldif"))).expect("people are added");
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.root.join(program));
        command.env("LD_LIBRARY_PATH", libraries(&self.root));
        command
    }

    /// Starts it again after it was stopped.
    pub(crate) fn go_on(&self) {
        let urls = format!(
            "ldap://127.0.0.1:{} ldaps://127.0.0.1:{}",
            self.plain, self.encrypted
        );
        let mut server = self.command("usr/sbin/slapd");
        // In the foreground.
        server.args(["-d", "0", "-h", &urls, "-f"]);
        server.arg(self.folder.path().join("slapd.conf"));
        let mut started = server.stdin(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + STARTS_WITHIN;
        for port in [self.plain, self.encrypted] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                let ended = started.try_wait().unwrap();
                assert!(ended.is_none(), "slapd ends at once: {ended:?}");
                assert!(Instant::now() < deadline, "slapd does not listen");
                std::thread::sleep(LOOK_AGAIN);
            }
        }
        *self.server() = Some(started);
    }

    /// Stops it.
    pub(crate) fn stop(&self) {
        if let Some(mut server) = self.server().take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    fn server(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `ldap://localhost:PORT`
    pub(crate) fn url(&self) -> String {
        format!("ldap://localhost:{}", self.plain)
    }

    /// `ldaps://localhost:PORT`
    pub(crate) fn encrypted_url(&self) -> String {
        format!("ldaps://localhost:{}", self.encrypted)
    }

    /// Its certificate, which signs itself.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// The block `devpi-ldap` for it, indented by two, with other keys where it is and how it is asked.
    pub(crate) fn block(&self, more: &str) -> String {
        format!(
            "  user_search: {{ base: 'ou=people,{SUFFIX}', filter: '(&(objectClass=person)(uid={{username}}))', \
             attribute_name: dn, userdn: '{SEARCHER}', password: searcher-pw }}\n  \
             group_search: {{ base: 'ou=groups,{SUFFIX}', filter: '(member={{userdn}})', attribute_name: cn, \
             userdn: '{SEARCHER}', password: searcher-pw }}\n  {more}\n"
        )
    }

    /// The same where users are found by their names, without a search, and groups by this account; none
    /// are looked for without one.
    pub(crate) fn template(&self, searcher: Option<&str>) -> String {
        let groups = searcher.map(|userdn| {
            format!(
                "  group_search: {{ base: 'ou=groups,{SUFFIX}', filter: '(member={{userdn}})', attribute_name: cn, \
                 userdn: '{userdn}', password: searcher-pw }}\n"
            )
        });
        let groups = groups.unwrap_or_default();
        format!("  user_template: 'uid={{username}},ou=people,{SUFFIX}'\n{groups}  recheck: 1s\n")
    }

    /// Puts a user into a group, or takes them out.
    pub(crate) async fn change_member(&self, group: &str, user: &str, is_in: bool) {
        let mut ldap = self.as_admin().await;
        let member = [format!("uid={user},ou=people,{SUFFIX}")].into();
        let change = match is_in {
            true => ldap3::Mod::Add("member".to_owned(), member),
            false => ldap3::Mod::Delete("member".to_owned(), member),
        };
        let group = format!("cn={group},ou=groups,{SUFFIX}");
        ldap.modify(&group, vec![change])
            .await
            .unwrap()
            .success()
            .unwrap();
    }

    /// Gives a user another password.
    pub(crate) async fn change_password(&self, user: &str, password: &str) {
        let mut ldap = self.as_admin().await;
        let change = ldap3::Mod::Replace("userPassword", [password].into());
        let user = format!("uid={user},ou=people,{SUFFIX}");
        let changed = ldap.modify(&user, vec![change]).await;
        changed.unwrap().success().unwrap();
    }

    /// Removes a user.
    pub(crate) async fn remove(&self, user: &str) {
        let mut ldap = self.as_admin().await;
        let user = format!("uid={user},ou=people,{SUFFIX}");
        ldap.delete(&user).await.unwrap().success().unwrap();
    }

    async fn as_admin(&self) -> ldap3::Ldap {
        let url = format!("ldap://127.0.0.1:{}", self.plain);
        let (connection, mut ldap) = ldap3::LdapConnAsync::new(&url).await.unwrap();
        ldap3::drive!(connection);
        let bound = ldap.simple_bind(ADMIN, ADMIN_PASSWORD).await;
        bound.unwrap().success().unwrap();
        ldap
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Another certificate for `localhost`, which the directory does not have.
pub(crate) fn other_certificate(folder: &Path) -> PathBuf {
    self_signed(folder, "localhost");
    folder.join("cert.pem")
}
