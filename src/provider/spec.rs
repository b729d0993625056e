//! What a provider is and can do, as static data. The matrix, the refusals and the choice of tests all read this.

use crate::error::{Error, Kind};
use crate::http::Pace;
use crate::model::{Address, AliasSource, Bytes, MailboxChange, NewMailbox, ProviderId};

/// Makes the operations of one list, so that nothing that is said of all of them leaves one out.
macro_rules! operations {
    ($($(#[$doc:meta])* $op:ident = $name:literal, $phrase:literal;)+) => {
        /// Something that can be asked of a provider.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Op {
            $($(#[$doc])* $op,)+
        }

        impl Op {
            /// Every operation, in the order of the matrix.
            pub const ALL: [Op; [$($name),+].len()] = [$(Op::$op),+];

            /// Returns the operation as the matrix and JSON name it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Op::$op => $name,)+
                }
            }

            /// Returns the operation as the end of a sentence that begins with "cannot".
            pub fn phrase(self) -> &'static str {
                match self {
                    $(Op::$op => $phrase,)+
                }
            }
        }
    };
}

operations! {
    /// Prove that the credentials work.
    CheckAccount = "check account", "check the credentials";
    /// List mailboxes.
    ListMailboxes = "list mailboxes", "list mailboxes";
    /// Read one mailbox.
    GetMailbox = "get mailbox", "read one mailbox";
    /// Make a mailbox.
    CreateMailbox = "create mailbox", "create a mailbox";
    /// Make many mailboxes in one request.
    CreateMailboxes = "create many at once", "create many mailboxes in one request";
    /// Change first and last name.
    SetNames = "set names", "change the name on a mailbox";
    /// Change the password.
    SetPassword = "set password", "set a mailbox's password";
    /// Change the storage limit.
    SetQuota = "set quota", "set a quota";
    /// Make a mailbox an administrator of the server, or no longer.
    SetAdmin = "set admin", "make a mailbox an administrator";
    /// Switch a mailbox off and on again.
    SuspendMailbox = "suspend mailbox", "suspend or resume a mailbox";
    /// Remove a mailbox.
    DeleteMailbox = "delete mailbox", "delete a mailbox";
    /// List domains.
    ListDomains = "list domains", "list domains";
    /// Read one domain.
    GetDomain = "get domain", "read one domain";
    /// Add a domain.
    CreateDomain = "create domain", "create a domain";
    /// Have the provider check ownership or DNS.
    VerifyDomain = "verify domain", "verify a domain";
    /// Show the DNS records of a domain.
    DomainDns = "domain DNS records", "show a domain's DNS records";
    /// Switch a domain off and on again.
    SuspendDomain = "suspend domain", "suspend or resume a domain";
    /// Remove a domain with all it holds.
    DeleteDomain = "delete domain", "delete a domain";
    /// List aliases.
    ListAliases = "list aliases", "list aliases";
    /// Make an alias.
    CreateAlias = "create alias", "create an alias";
    /// Make the catch-all of a domain.
    CreateCatchAll = "create catch-all", "create a catch-all";
    /// Remove an alias or catch-all.
    DeleteAlias = "delete alias", "delete an alias";
    /// List credentials that open more than one mailbox.
    ListCredentials = "list credentials", "list credentials";
    /// Make such a credential.
    CreateCredential = "create credential", "create a credential";
    /// Remove such a credential.
    DeleteCredential = "delete credential", "delete a credential";
}

/// Whether a provider can do an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// By a documented route made for it.
    Native,
    /// Indirectly, by other routes: the text says which.
    Emulated(&'static str),
    /// By a route that no vendor page documents: off unless the profile says `allow_unverified = true`.
    /// The text says what is known.
    Unverified(&'static str),
    /// Not at all: the text says why.
    No(&'static str),
}

impl Support {
    /// Returns the word in the matrix.
    pub fn word(self) -> &'static str {
        match self {
            Support::Native => "yes",
            Support::Emulated(_) => "indirectly",
            Support::Unverified(_) => "unverified",
            Support::No(_) => "no",
        }
    }

    /// Returns the reason, where there is one to give.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Support::Native => None,
            Support::Emulated(why) | Support::Unverified(why) | Support::No(why) => Some(why),
        }
    }
}

/// How requests are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthScheme {
    /// `Authorization: Bearer`.
    Bearer,
    /// A header of the provider's own.
    Header(&'static str),
    /// `Authorization: Basic` with the profile's `user`.
    Basic,
}

/// A configuration key that only this provider has.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The key in the profile; `MBX_<PROVIDER>_<KEY>` in the environment.
    pub key: &'static str,
    /// What it is, for the error that asks for it.
    pub help: &'static str,
    /// Whether nothing works without it.
    pub required: bool,
    /// What the built-in sandbox expects.
    pub sandbox: Option<&'static str>,
}

/// What a password must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordRule {
    /// A new mailbox needs one.
    Required {
        /// The least number of characters.
        min: usize,
        /// The largest number of bytes, where a longer one would be stored and never work.
        max_bytes: Option<usize>,
        /// At least one letter and one digit.
        letter_and_digit: bool,
    },
    /// The provider takes none: the text says where passwords come from.
    Never(&'static str),
}

/// Which names a mailbox has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRule {
    /// First and last name are needed.
    Both,
    /// The first name is needed, the last may be left out.
    First,
    /// Both may be left out.
    Optional,
    /// The provider keeps none: the text says so.
    Never(&'static str),
}

/// Which quotas are possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaRule {
    /// Whole multiples of so many bytes.
    Multiple {
        /// The step in bytes.
        of: u64,
        /// The largest number of bytes, where a larger one would be stored and break the mailbox.
        max: Option<u64>,
        /// Whether zero is possible, which means no limit.
        unlimited: bool,
    },
    /// One of these sizes in bytes.
    OneOf(&'static [u64]),
    /// None can be set: the text says why.
    Never(&'static str),
}

/// What an empty list of a domain says of the domain itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptyDomain {
    /// The domain is there: the list of a domain that is not there is an error.
    IsThere,
    /// Nothing: the domain has to be read to know.
    MustBeRead,
    /// Nothing, and reading the domain says no more: why, in a sentence for the user.
    IsOpen(&'static str),
}

/// What a request must look like, checked before anything is sent.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Passwords.
    pub password: PasswordRule,
    /// Names.
    pub names: NameRule,
    /// Quotas.
    pub quota: QuotaRule,
    /// Why this provider would refuse or misuse the address, if it would.
    pub address: fn(&Address) -> Option<&'static str>,
    /// Whether addresses are stored in lower case, whatever case they are sent in.
    pub lower_case: bool,
    /// Whether a new domain comes with a postmaster mailbox, which needs a password, and takes a plan, quotas, a limit and
    /// a catch-all with it.
    pub domain_settings: bool,
    /// Mailboxes in one `create_mailboxes` request.
    pub batch_max: usize,
    /// What an empty list of a domain's mailboxes or aliases says of the domain.
    pub empty_domain: EmptyDomain,
    /// Whether a mailbox that is missing right after its creation may still appear.
    pub listing_lags: bool,
    /// Whether a second create of an address that exists is refused as a conflict, as far as documents say. Only then
    /// may a create whose answer was lost be sent again without proof that the first one did nothing.
    pub refuses_existing: bool,
    /// What creating a mailbox costs, in a sentence; `None` where it costs nothing.
    pub costs: Option<&'static str>,
}

/// Something wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field of the request, which is also the column of a file.
    pub field: &'static str,
    /// Why, in a sentence.
    pub why: String,
    /// Whether the field is needed and was not given.
    pub is_missing: bool,
}

/// An address rule that has no objections.
pub fn any_address(_: &Address) -> Option<&'static str> {
    None
}

impl MailboxChange {
    /// Returns the operations that the change needs, each with the field that asks for it.
    pub fn ops(&self) -> Vec<(&'static str, Op)> {
        let asked = [
            ("quota", Op::SetQuota, self.quota.is_some()),
            ("admin", Op::SetAdmin, self.admin.is_some()),
            ("first_name", Op::SetNames, self.first_name.is_some()),
            ("last_name", Op::SetNames, self.last_name.is_some()),
        ];
        asked.into_iter().filter(|(_, _, asked)| *asked).map(|(field, op, _)| (field, op)).collect()
    }

    /// Returns the operation that errors about the whole change name.
    pub fn op(&self) -> Op {
        self.ops().first().map_or(Op::SetNames, |(_, op)| *op)
    }
}

impl NewMailbox {
    /// Returns the operations that the request needs, each with the field that asks for it.
    pub fn ops(&self) -> Vec<(&'static str, Op)> {
        // Names travel with every create; a privilege that is not asked for needs none.
        let mut ops = self.extras().ops();
        ops.insert(0, ("address", Op::CreateMailbox));
        ops
    }
}

impl AliasSource {
    /// Returns the operation that creates an alias for this source.
    pub fn op(&self) -> Op {
        match self {
            AliasSource::Address(_) => Op::CreateAlias,
            AliasSource::CatchAll(_) => Op::CreateCatchAll,
        }
    }
}

impl Rules {
    /// Returns an address as the provider stores it, which is what is shown after a change.
    pub fn stored(&self, address: &Address) -> Address {
        if self.lower_case { Address::lenient(&address.lower()) } else { address.clone() }
    }

    /// Returns whether a mailbox has a password of its own that can be given.
    pub fn takes_password(&self) -> bool {
        !matches!(self.password, PasswordRule::Never(_))
    }

    /// Returns everything that is wrong with a new mailbox.
    pub fn problems(&self, new: &NewMailbox) -> Vec<Problem> {
        let mut problems = self.change_problems(&new.as_change());
        let mut add = |field, why: &str, is_missing| problems.push(Problem { field, why: why.to_owned(), is_missing });
        if let Some(why) = (self.address)(&new.address) {
            add("address", why, false);
        }
        let is_missing = |name: &Option<String>| name.as_deref().is_none_or(|name| name.trim().is_empty());
        if matches!(self.names, NameRule::Both | NameRule::First) && is_missing(&new.first_name) {
            add("first_name", "a first name is needed", true);
        }
        if matches!(self.names, NameRule::Both) && is_missing(&new.last_name) {
            add("last_name", "a last name is needed", true);
        }
        if new.password.is_some() || matches!(self.password, PasswordRule::Required { .. }) {
            problems.extend(self.given_password_problem(new.password.as_ref()));
        }
        problems
    }

    /// Returns everything that is wrong with a change.
    pub fn change_problems(&self, change: &MailboxChange) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |field, why: String| problems.push(Problem { field, why, is_missing: false });
        if let NameRule::Never(why) = self.names {
            // One reason is enough for both.
            if change.first_name.is_some() {
                add("first_name", why.to_owned());
            } else if change.last_name.is_some() {
                add("last_name", why.to_owned());
            }
        }
        if let Some(Bytes(bytes)) = change.quota {
            match self.quota {
                QuotaRule::Never(why) => add("quota", why.to_owned()),
                QuotaRule::OneOf(sizes) if !sizes.contains(&bytes) => {
                    let sizes: Vec<_> = sizes.iter().map(|&size| Bytes(size).to_string()).collect();
                    add("quota", format!("the quota must be one of {}", sizes.join(", ")));
                }
                QuotaRule::Multiple { unlimited: false, .. } if bytes == 0 => {
                    add("quota", "an unlimited quota cannot be asked for".to_owned());
                }
                QuotaRule::Multiple { of, .. } if bytes % of != 0 => {
                    add("quota", format!("the quota must be a multiple of {}", Bytes(of)));
                }
                QuotaRule::Multiple { max: Some(max), .. } if bytes > max => {
                    add("quota", format!("the quota must be at most {max} bytes"));
                }
                QuotaRule::OneOf(_) | QuotaRule::Multiple { .. } => {}
            }
        }
        problems
    }

    /// Returns what is wrong with the password of a request that needs one.
    pub fn given_password_problem(&self, password: Option<&secrecy::SecretString>) -> Option<Problem> {
        let why = match password {
            Some(password) => self.password_problem(password),
            None => Some("a password is needed".to_owned()),
        };
        why.map(|why| Problem { field: "password", why, is_missing: password.is_none() })
    }

    /// Returns what is wrong with a password, in a sentence that does not repeat it.
    pub fn password_problem(&self, password: &secrecy::SecretString) -> Option<String> {
        use secrecy::ExposeSecret;
        let text = password.expose_secret();
        let (min, max_bytes, letter_and_digit) = match self.password {
            PasswordRule::Never(why) => return Some(why.to_owned()),
            PasswordRule::Required { min, max_bytes, letter_and_digit } => (min, max_bytes, letter_and_digit),
        };
        let has_both = || text.chars().any(char::is_alphabetic) && text.chars().any(|c| c.is_ascii_digit());
        if text.chars().count() < min {
            return Some(format!("the password must have at least {min} characters"));
        }
        if let Some(max) = max_bytes.filter(|max| text.len() > *max) {
            return Some(format!("the password must have at most {max} bytes"));
        }
        if text.contains('\0') {
            return Some("the password has a NUL character".to_owned());
        }
        if letter_and_digit && !has_both() {
            return Some("the password must have at least one letter and one digit".to_owned());
        }
        text.trim().is_empty().then(|| "the password is blank".to_owned())
    }
}

/// What a provider is and can do.
pub struct Spec {
    /// Its name in flags and JSON.
    pub id: ProviderId,
    /// Its name in sentences.
    pub title: &'static str,
    /// Where its API lives, or why only the user knows.
    pub base_url: Result<&'static str, &'static str>,
    /// How requests are signed.
    pub auth: AuthScheme,
    /// What the vendor calls the secret; the end of `MBX_<PROVIDER>_…`: `TOKEN`, `API_KEY`, `PASSWORD`.
    pub secret_name: &'static str,
    /// Further configuration keys.
    pub settings: &'static [Setting],
    /// Speed and patience.
    pub pace: Pace,
    /// What a request must look like.
    pub rules: Rules,
    /// What can be done.
    pub support: fn(Op) -> Support,
}

impl Spec {
    /// Returns the refusal of an operation, if this provider cannot do it or the profile does not allow it.
    pub fn refusal(&self, op: Op, allow_unverified: bool) -> Option<Error> {
        match (self.support)(op) {
            Support::No(why) => Some(Error::unsupported(op.phrase(), why)),
            Support::Unverified(why) if !allow_unverified => Some(
                Error::unsupported(op.phrase(), why)
                    .hint("set `allow_unverified = true` in the profile to try it all the same"),
            ),
            Support::Native | Support::Emulated(_) | Support::Unverified(_) => None,
        }
    }

    /// Returns the refusal of the first of these operations that this provider cannot do or the profile does not allow.
    pub fn refusal_of(&self, ops: &[(&'static str, Op)], allow_unverified: bool) -> Option<Error> {
        ops.iter().find_map(|(_, op)| self.refusal(*op, allow_unverified))
    }

    /// Returns everything for which a new mailbox would be refused before anything is sent.
    pub fn new_problems(&self, new: &NewMailbox, allow_unverified: bool) -> Vec<Problem> {
        self.with_refusals(self.rules.problems(new), new.ops(), allow_unverified)
    }

    /// Returns everything for which a change would be refused before anything is sent.
    pub fn change_problems(&self, change: &MailboxChange, allow_unverified: bool) -> Vec<Problem> {
        if change.is_empty() {
            return vec![Problem { field: "(all)", why: "there is nothing to change".to_owned(), is_missing: true }];
        }
        self.with_refusals(self.rules.change_problems(change), change.ops(), allow_unverified)
    }

    /// Returns everything for which a mailbox would be refused that is made if it is missing, and else changed to what
    /// is asked for.
    pub fn new_or_change_problems(&self, new: &NewMailbox, allow_unverified: bool) -> Vec<Problem> {
        self.with_refusals(self.rules.problems(new), new.as_change().ops(), allow_unverified)
    }

    /// Adds the refusals of the operations that are needed.
    fn with_refusals(
        &self,
        mut problems: Vec<Problem>,
        ops: Vec<(&'static str, Op)>,
        allow_unverified: bool,
    ) -> Vec<Problem> {
        for (field, op) in ops {
            let refusal = self.refusal(op, allow_unverified).map(|error| error.message.clone());
            // Where the rules have said why already, once is enough.
            let refusal = refusal.filter(|_| problems.iter().all(|known| known.field != field));
            problems.extend(refusal.map(|why| Problem { field, why, is_missing: false }));
        }
        problems
    }

    /// Returns the refusal of an operation that this provider has no code for.
    pub(super) fn unsupported(&self, op: Op) -> Error {
        self.refusal(op, false).unwrap_or_else(|| {
            Error::new(Kind::Internal, format!("{} claims to {} and does not", self.title, op.phrase()))
        })
    }
}
