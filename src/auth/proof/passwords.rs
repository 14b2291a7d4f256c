//! The file of names and passwords, as `htpasswd -B` writes it: by slow hashes only.
//!
//! bcrypt and argon2id are taken. What can be guessed a million times a second (crypt, MD5, SHA-1,
//! SHA-2 crypt) and passwords as they are get refused when the file is read.

use super::ENTRIES_MAX;
use super::lines::{LineError, Problems, entries, list, name};
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params};
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Lowest cost of a bcrypt hash.
const BCRYPT_COST_MIN: u32 = 4;
/// Highest cost of a bcrypt hash; each step doubles the time, and this one takes some seconds.
const BCRYPT_COST_MAX: u32 = 16;
/// Most memory of an argon2 hash, in KiB: every check that runs needs as much.
const ARGON2_KIB_MAX: u32 = 256 << 10;
/// Most passes of an argon2 hash over its memory.
const ARGON2_PASSES_MAX: u32 = 16;
/// Most lanes of an argon2 hash.
const ARGON2_LANES_MAX: u32 = 16;

const USE_BCRYPT: &str = "write it with `htpasswd -B -C 12 FILE USER`";

/// Who has which password.
#[derive(Clone, PartialEq, Eq)]
pub struct Passwords(Arc<Table>);

#[derive(PartialEq, Eq)]
struct Table {
    users: Vec<User>,
    by_name: HashMap<Arc<str>, usize>,
}

/// Somebody with a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: Arc<str>,
    pub(super) groups: Vec<Arc<str>>,
    hash: Hash,
}

#[derive(Clone, PartialEq, Eq)]
enum Hash {
    Bcrypt(Box<str>),
    Argon2id(Box<str>),
}

impl Passwords {
    /// Reads a file of lines, `USER:HASH` or `USER:HASH:GROUP,GROUP`.
    ///
    /// # Errors
    /// What is wrong with which line.
    pub fn read(text: &str) -> Result<Self, Vec<LineError>> {
        let mut problems = Problems::default();
        let mut table = Table {
            users: Vec::new(),
            by_name: HashMap::new(),
        };
        for (line, text) in entries(text) {
            if table.users.len() == ENTRIES_MAX {
                problems.push(LineError::of_file("the file holds more than 100000 users"));
                break;
            }
            match user(line, text) {
                Ok(user) => {
                    let name = Arc::clone(&user.name);
                    if table.by_name.insert(name, table.users.len()).is_some() {
                        let problem = "this user stands in the file twice";
                        problems.push(LineError::new(line, problem));
                    }
                    table.users.push(user);
                }
                Err(problem) => problems.push(problem),
            }
        }
        if table.users.is_empty() && problems.are_none() {
            problems.push(LineError::of_file("the file holds no user"));
        }
        problems.none_or(Self(Arc::new(table)))
    }

    /// Whose password this is. Takes as long as the hash wants it to, on this thread.
    ///
    /// For a name that nobody has, the hash of somebody else is computed, always of the same one:
    /// how long it takes does not tell who exists, even where users have hashes of several kinds.
    pub(super) fn verify(&self, name: &str, password: &[u8]) -> Option<&User> {
        let Table { users, by_name } = &*self.0;
        let known = by_name.get(name).and_then(|at| users.get(*at));
        let Some(user) = known else {
            let count = u64::try_from(users.len()).unwrap_or(u64::MAX).max(1);
            let decoy = by_name.hasher().hash_one(name) % count;
            let decoy = usize::try_from(decoy).ok().and_then(|at| users.get(at));
            let matches = decoy.is_some_and(|user| user.hash.is_of(password));
            // Whatever came of it: it was not this one's password.
            std::hint::black_box(matches);
            return None;
        };
        user.hash.is_of(password).then_some(user)
    }
}

/// How many users; nothing of them.
impl std::fmt::Debug for Passwords {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Passwords({} users)", self.0.users.len())
    }
}

impl Hash {
    fn read(line: usize, text: &str) -> Result<Self, LineError> {
        let refuse = |problem| LineError::new(line, problem);
        if ["$2a$", "$2b$", "$2y$"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            let parts: bcrypt::HashParts = text
                .parse()
                .map_err(|_| refuse("this bcrypt hash cannot be read"))?;
            if parts.get_cost() < BCRYPT_COST_MIN {
                // Nobody could ever log in by it.
                return Err(refuse("this bcrypt hash cannot be read"));
            }
            if parts.get_cost() > BCRYPT_COST_MAX {
                let problem = "this bcrypt hash has a cost above 16";
                return Err(refuse(problem).help("it would take seconds to minutes to check"));
            }
            return Ok(Self::Bcrypt(text.into()));
        }
        if text.starts_with("$argon2id$") {
            let unreadable = || refuse("this argon2id hash cannot be read");
            let hash = PasswordHash::new(text).map_err(|_| unreadable())?;
            let params = Params::try_from(&hash).map_err(|_| unreadable())?;
            if hash.hash.is_none() || hash.salt.is_none() {
                return Err(unreadable());
            }
            if params.m_cost() > ARGON2_KIB_MAX
                || params.t_cost() > ARGON2_PASSES_MAX
                || params.p_cost() > ARGON2_LANES_MAX
            {
                let problem = "this argon2id hash costs too much to check";
                return Err(refuse(problem).help("at most m=262144, t=16 and p=16"));
            }
            return Ok(Self::Argon2id(text.into()));
        }
        let problem = if text.starts_with('$') || text.starts_with('{') {
            "this kind of hash can be guessed quickly, and is not taken"
        } else {
            "this is no bcrypt or argon2id hash"
        };
        Err(refuse(problem).help(USE_BCRYPT))
    }

    fn is_of(&self, password: &[u8]) -> bool {
        match self {
            // A password past bcrypt's 72 bytes is refused, and not cut: two that begin alike
            // would be one.
            Self::Bcrypt(hash) => {
                bcrypt::non_truncating_verify(password, hash).is_ok_and(|matches| matches)
            }
            Self::Argon2id(hash) => PasswordHash::new(hash)
                .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok()),
        }
    }
}

fn user(line: usize, text: &str) -> Result<User, LineError> {
    let mut parts = text.splitn(3, ':').map(str::trim);
    let (Some(user), Some(hash)) = (parts.next(), parts.next()) else {
        let error = LineError::new(line, "this is no `USER:HASH`");
        return Err(error.help(USE_BCRYPT));
    };
    Ok(User {
        name: name(line, user)?,
        groups: list(line, parts.next().unwrap_or_default())?,
        hash: Hash::read(line, hash)?,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use argon2::password_hash::CustomizedPasswordHasher;
    use proptest::prelude::*;

    /// As cheap as bcrypt goes.
    pub(in crate::auth::proof) fn bcrypt_hash(password: &str) -> String {
        bcrypt::hash(password, 4).unwrap()
    }

    fn argon2_hash(password: &str, kib: u32, passes: u32) -> String {
        let params = Params::new(kib, passes, 1, None).unwrap();
        let hasher = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let hash: PasswordHash = hasher
            .hash_password_with_params(
                password.as_bytes(),
                b"0123456789abcdef",
                Params::new(kib, passes, 1, None).unwrap(),
            )
            .unwrap();
        hash.to_string()
    }

    #[track_caller]
    fn refuse(text: &str, line: Option<usize>, problem: &str) {
        let errors = Passwords::read(text).unwrap_err();
        let told: Vec<_> = errors.iter().map(|one| (one.line, one.problem)).collect();
        assert_eq!(told, [(line, problem)], "{text}");
    }

    #[test]
    fn a_password_is_its_users_and_nobody_elses() {
        let (ada, bob) = (bcrypt_hash("lovelace"), argon2_hash("byron", 8, 1));
        let y = ada.replacen("$2b$", "$2y$", 1);
        let file = format!("# ops\nada:{y}:ops, admin\n\nbob:{bob}\r\n");
        let passwords = Passwords::read(&file).unwrap();

        let user = passwords.verify("ada", b"lovelace").unwrap();
        assert_eq!(&*user.name, "ada");
        assert_eq!(user.groups, ["ops".into(), Arc::from("admin")]);
        assert!(passwords.verify("bob", b"byron").is_some());
        for (name, password) in [
            ("ada", "byron"),
            ("bob", "lovelace"),
            ("ada", ""),
            ("ada", "lovelace "),
            ("Ada", "lovelace"),
            ("", "lovelace"),
            ("eve", "lovelace"),
            ("eve", "byron"),
        ] {
            assert!(
                passwords.verify(name, password.as_bytes()).is_none(),
                "{name}"
            );
        }
    }

    #[test]
    fn a_password_that_bcrypt_would_cut_is_refused() {
        let long = "x".repeat(72);
        let file = format!("ada:{}", bcrypt_hash(&long));
        let passwords = Passwords::read(&file).unwrap();

        // With its closing NUL, bcrypt has room for 71 bytes or for 72, by who counts.
        let longer = format!("{long}y");
        assert!(passwords.verify("ada", longer.as_bytes()).is_none());
    }

    #[test]
    fn what_can_be_guessed_quickly_is_refused_with_its_line() {
        let good = bcrypt_hash("good");
        let quick = "this kind of hash can be guessed quickly, and is not taken";
        let none = "this is no bcrypt or argon2id hash";

        refuse("", None, "the file holds no user");
        for (text, problem) in [
            ("hunter2", "this is no `USER:HASH`"),
            ("ada:hunter2", none),
            ("ada:rqXexS6ZhobKA", none),
            ("ada:", none),
            ("ada:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", quick),
            ("ada:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/", quick),
            ("ada:$1$r31$HqJZimcKQFAMYayBlzkrA/", quick),
            ("ada:$5$salt$hash", quick),
            ("ada:$6$salt$hash", quick),
            ("ada:$2x$04$abcdefghijklmnopqrstuu", quick),
            (
                "ada:$argon2i$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g",
                quick,
            ),
            ("ada:$2b$04$short", "this bcrypt hash cannot be read"),
            (
                "ada:$argon2id$v=19$m=8,t=1,p=1",
                "this argon2id hash cannot be read",
            ),
            (
                "ada:$argon2id$nonsense",
                "this argon2id hash cannot be read",
            ),
        ] {
            let file = format!("bob:{good}\n{text}\n");
            refuse(&file, Some(2), problem);
        }
        let twice = format!("ada:{good}\nada:{good}");
        refuse(&twice, Some(2), "this user stands in the file twice");
    }

    #[test]
    fn a_hash_that_costs_too_much_to_check_is_refused_at_the_bound() {
        let bcrypt = |cost: &str| format!("ada:{}", bcrypt_hash("x").replacen("$04$", cost, 1));
        let argon2 = |cost: &str| {
            let hash = argon2_hash("x", 8, 1).replacen("m=8,t=1,p=1", cost, 1);
            format!("ada:{hash}")
        };

        let unreadable = "this bcrypt hash cannot be read";
        refuse(&bcrypt("$03$"), Some(1), unreadable);
        refuse(&bcrypt("$00$"), Some(1), unreadable);
        assert!(Passwords::read(&bcrypt("$16$")).is_ok());
        let problem = "this bcrypt hash has a cost above 16";
        refuse(&bcrypt("$17$"), Some(1), problem);
        assert!(Passwords::read(&argon2("m=262144,t=16,p=16")).is_ok());
        let problem = "this argon2id hash costs too much to check";
        refuse(&argon2("m=262145,t=1,p=1"), Some(1), problem);
        refuse(&argon2("m=64,t=17,p=1"), Some(1), problem);
        refuse(&argon2("m=256,t=1,p=17"), Some(1), problem);
    }

    #[test]
    fn the_debug_text_shows_no_hash() {
        let passwords = Passwords::read(&format!("a:{}", bcrypt_hash("x"))).unwrap();
        assert_eq!(format!("{passwords:?}"), "Passwords(1 users)");
    }

    proptest! {
        #[test]
        fn no_text_of_a_file_panics_and_no_error_quotes_it(
            text in "([a-z]{1,4}:)?(\\$2b\\$|\\$argon2id\\$|\\{SHA\\})?[a-zA-Z0-9$=,./:\\n]{0,80}",
        ) {
            drop(Passwords::read(&text));
        }
    }
}
