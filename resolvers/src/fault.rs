//! Two kinds of errors: what a client may know, and what only the log may.

use std::fmt;

/// Why something failed.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The caller's to mend. Code and message are shown.
    Client(ClientFault),
    /// Ours or a store's. The client sees a code and an id; the cause is logged where it is handled, once.
    Internal(InternalFault),
}

/// An error that is safe to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFault {
    /// Stable code.
    pub code: Code,
    /// What is wrong and how to put it right.
    pub message: String,
}

/// An error that is not shown.
#[derive(Debug, Clone)]
pub struct InternalFault {
    /// Which store or part failed, like `graph`.
    pub part: &'static str,
    /// The cause, for the log.
    pub cause: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

/// Stable codes of errors, as clients see them in `extensions.code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The request is not well-formed.
    BadRequest,
    /// The document does not parse.
    GraphqlParseFailed,
    /// The document does not fit the schema.
    GraphqlValidationFailed,
    /// A variable or argument has a wrong value.
    BadUserInput,
    /// No or no valid credentials.
    Unauthenticated,
    /// A rule refuses the operation.
    Forbidden,
    /// Whoever runs the gateway has suspended the tenant.
    TenantSuspended,
    /// A record that the change needs is not there, or not visible.
    NotFound,
    /// A unique value is taken, or a record exists already.
    Conflict,
    /// An idempotency key was used for something else.
    IdempotencyKeyReused,
    /// The body is too large.
    BodyTooLarge,
    /// Brackets are nested too deep.
    NestingTooDeep,
    /// Too many tokens.
    TooManyTokens,
    /// Fields are nested too deep.
    DepthTooGreat,
    /// Too many fields, aliases, directives, variables or operations.
    TooBroad,
    /// The price is over the limit.
    TooExpensive,
    /// A page is larger than allowed.
    PageTooLarge,
    /// Too many operations in a batch.
    BatchTooLarge,
    /// A filter across stores matches too many records.
    FilterTooWide,
    /// A document is named that is not kept; the client is to send it.
    PersistedQueryNotFound,
    /// A document comes with a hash that is not its own.
    PersistedQueryMismatch,
    /// The document is not among those published for the tenant.
    UnknownDocument,
    /// Too many requests at once.
    Overloaded,
    /// Too many tries to sign in.
    TooManyTries,
    /// The tenant has used up what it may use in this hour or minute.
    RateLimited,
    /// It took too long.
    Timeout,
    /// Meaning is asked for, but there is no model.
    EmbeddingUnavailable,
    /// A cursor is not ours, or belongs to another list.
    BadCursor,
    /// A position is not ours, or belongs to another tenant.
    BadPosition,
    /// What was written up to a position is not yet there to be read.
    Stale,
    /// Something of ours failed.
    Internal,
    /// A store cannot be reached.
    StoreUnavailable,
}

impl Code {
    /// The code as clients see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "BAD_REQUEST",
            Self::GraphqlParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::GraphqlValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::TenantSuspended => "TENANT_SUSPENDED",
            Self::NotFound => "NOT_FOUND",
            Self::Conflict => "CONFLICT",
            Self::IdempotencyKeyReused => "IDEMPOTENCY_KEY_REUSED",
            Self::BodyTooLarge => "BODY_TOO_LARGE",
            Self::NestingTooDeep => "NESTING_TOO_DEEP",
            Self::TooManyTokens => "TOO_MANY_TOKENS",
            Self::DepthTooGreat => "DEPTH_TOO_GREAT",
            Self::TooBroad => "TOO_BROAD",
            Self::TooExpensive => "TOO_EXPENSIVE",
            Self::PageTooLarge => "PAGE_TOO_LARGE",
            Self::BatchTooLarge => "BATCH_TOO_LARGE",
            Self::FilterTooWide => "FILTER_TOO_WIDE",
            Self::PersistedQueryNotFound => "PERSISTED_QUERY_NOT_FOUND",
            Self::PersistedQueryMismatch => "PERSISTED_QUERY_MISMATCH",
            Self::UnknownDocument => "UNKNOWN_DOCUMENT",
            Self::Overloaded => "OVERLOADED",
            Self::TooManyTries => "TOO_MANY_TRIES",
            Self::RateLimited => "RATE_LIMITED",
            Self::Timeout => "TIMEOUT",
            Self::EmbeddingUnavailable => "EMBEDDING_UNAVAILABLE",
            Self::BadCursor => "BAD_CURSOR",
            Self::BadPosition => "BAD_POSITION",
            Self::Stale => "STALE",
            Self::Internal => "INTERNAL",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
        }
    }

    /// The HTTP status when the whole request fails with it.
    pub fn status(self) -> u16 {
        match self {
            Self::Unauthenticated => 401,
            // As Apollo's server has it: some of its clients look into no other answer.
            Self::PersistedQueryNotFound => 200,
            Self::Forbidden | Self::UnknownDocument | Self::TenantSuspended => 403,
            Self::BodyTooLarge => 413,
            Self::TooManyTries | Self::RateLimited => 429,
            Self::Overloaded | Self::Stale => 503,
            Self::StoreUnavailable | Self::EmbeddingUnavailable => 503,
            Self::Timeout => 504,
            Self::Internal => 500,
            _ => 400,
        }
    }
}

impl Fault {
    /// An error for the client.
    pub fn client(code: Code, message: impl Into<String>) -> Self {
        Self::Client(ClientFault { code, message: message.into() })
    }

    /// An error for the log.
    pub fn internal(part: &'static str, cause: impl fmt::Display) -> Self {
        Self::Internal(InternalFault { part, cause: cause.to_string(), retryable: false })
    }

    /// An error for the log that may pass by itself.
    pub fn passing(part: &'static str, cause: impl fmt::Display) -> Self {
        Self::Internal(InternalFault { part, cause: cause.to_string(), retryable: true })
    }

    /// The code that the client sees.
    pub fn code(&self) -> Code {
        match self {
            Self::Client(fault) => fault.code,
            Self::Internal(fault) if fault.retryable => Code::StoreUnavailable,
            Self::Internal(_) => Code::Internal,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(fault) => write!(f, "{}: {}", fault.code.as_str(), fault.message),
            Self::Internal(fault) => write!(f, "{}: {}", fault.part, fault.cause),
        }
    }
}

impl std::error::Error for Fault {}
