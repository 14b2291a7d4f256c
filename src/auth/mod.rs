//! Who may pass.
//!
//! A route names policies; each of them is asked about the request, and says allow, deny, or that
//! the request carries nothing it knows. What was proved is an [`Identity`]. What a policy finds,
//! how long it took and why stands on a span of its own, under the request's SERVER span.
//!
//! Knows nothing of the pipeline: a request that is asked about may be one that a host proxy told
//! of ([`Asked`]), and spans go where the [`Recorder`] says.

mod allow;
mod asked;
pub mod assertion;
pub mod audit;
mod cache;
mod call;
mod claims;
mod errand;
pub mod ext_authz;
mod forward;
mod identity;
mod identity_headers;
mod identity_spans;
pub mod jose;
pub mod jwt;
mod keyed;
mod notes;
pub mod oidc;
mod places;
mod policy;
mod proof;
pub mod provider;
mod recorder;
mod require;
mod requirement;
pub mod seal;
pub mod session;
mod transport;
mod verdict;

pub use allow::{Allow, AllowError, Fault, Inquiry, Refused};
pub use asked::Asked;
pub use cache::{CacheKeyPart, CacheSettings};
pub use forward::{
    BodyRule, Dialect, FieldPattern, ForwardRules, ForwardSettings, IdentityFields, OnFailure,
};
pub use identity::{Identity, Proof};
pub use identity_headers::{IdentityField, IdentityPart, IdentitySettings, claim_path};
pub use identity_spans::Told;
pub use policy::{Means, Policy, PolicySettings, Resources};
pub use proof::{
    ApiKeySettings, ApiKeys, BasicSettings, ClientCertSettings, KeyEntry, LineError, Passwords,
};
pub use recorder::{CallSpan, DecisionSpan, Recorder};
pub use require::{EmailPattern, Lack, Require};
pub use requirement::{PolicyUse, Requirement, RequirementSettings, Ruling};
pub use verdict::{
    AnswerChange, Denial, DenialAnswer, Grant, HeaderChange, LoginOffer, Reason, Verdict,
};
