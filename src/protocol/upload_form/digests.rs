//! The digests that a client states for the file it sends, and whether they match (devpi ignores them).

use crate::model::Sha256;
use crate::protocol::upload_form::fault::FormFault;

/// Digests that a client states of its file; hex in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimedDigests {
    /// `sha256_digest`
    pub sha256: Option<Sha256>,
    /// `md5_digest`
    pub md5: Option<String>,
    /// `blake2_256_digest`: the 256 bits of its name, or the 512 that distutils sends under it.
    pub blake2b: Option<String>,
}

impl ClaimedDigests {
    /// Reads the fields of a form; an invalid digest is a fault.
    pub(super) fn read<'a>(
        field: impl Fn(&str) -> Option<&'a str>,
        faults: &mut Vec<FormFault>,
    ) -> Self {
        let mut stated = |name: &str, digits: &[usize]| {
            let text = field(name).filter(|text| !text.is_empty())?;
            if digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Some(text.to_ascii_lowercase());
            }
            let digits = digits[0];
            faults.push(FormFault(format!(
                "{name} is not {digits} hexadecimal digits"
            )));
            None
        };
        Self {
            sha256: stated("sha256_digest", &[64]).and_then(|hex| Sha256::parse(&hex).ok()),
            md5: stated("md5_digest", &[32]),
            blake2b: stated("blake2_256_digest", &[64, 128]),
        }
    }

    /// Compares them with those of the content; blake2b with 256 bits and with 512.
    ///
    /// # Errors
    /// The first digest that differs.
    pub fn check(&self, sha256: &Sha256, md5: &str, blake2b: [&str; 2]) -> Result<(), FormFault> {
        let stated_sha256 = self.sha256.map(|digest| digest.to_hex());
        let is_long = self.blake2b.as_ref().is_some_and(|hex| hex.len() > 64);
        let blake2b = blake2b[usize::from(is_long)].to_ascii_lowercase();
        let pairs = [
            ("sha256", stated_sha256.as_deref(), sha256.to_hex()),
            ("md5", self.md5.as_deref(), md5.to_ascii_lowercase()),
            ("blake2_256", self.blake2b.as_deref(), blake2b),
        ];
        for (algorithm, stated, found) in pairs {
            if let Some(stated) = stated.filter(|stated| *stated != found) {
                return Err(FormFault(format!(
                    "the content's {algorithm} digest is {found}, not {stated} as stated"
                )));
            }
        }
        Ok(())
    }
}
