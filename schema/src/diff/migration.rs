//! What a change of an ontology asks of the data that is there, and who sees to it.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// One thing to do. `of` is a type of records or of relationship properties, `property` a field name.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Migration {
    /// A new row type wants its table.
    CreateTable {
        /// Type.
        of: String,
        /// Name of the table.
        table: String,
    },
    /// Records live elsewhere now: other labels, another table, or the other sort of store.
    Move {
        /// Type.
        of: String,
        /// Where they are, like `:Site` or `table sites`.
        from: String,
        /// Where they belong.
        to: String,
        /// True between nodes and rows; else only a name changes.
        across: bool,
    },
    /// Records that no type shows any more stay until they are removed.
    Abandon {
        /// Type that is gone.
        of: String,
        /// Where its records are.
        from: String,
    },
    /// A row type has a new column.
    AddColumn {
        /// Type.
        of: String,
        /// Name of the column.
        column: String,
    },
    /// A property has another name in the store.
    Rename {
        /// Type.
        of: String,
        /// Field name.
        property: String,
        /// Stored name so far.
        from: String,
        /// Stored name from now on.
        to: String,
    },
    /// The values of a property are of another sort.
    Convert {
        /// Type.
        of: String,
        /// Field name.
        property: String,
        /// Sort so far, as in SDL.
        from: String,
        /// Sort from now on, as in SDL.
        to: String,
    },
    /// Records without a value need one.
    Fill {
        /// Type.
        of: String,
        /// Field name.
        property: String,
        /// The default, when there is one.
        with: Option<Value>,
    },
    /// Values of an enum that is gone are to be replaced wherever they are stored.
    Replace {
        /// Enum.
        of: String,
        /// Value that is gone.
        value: String,
    },
    /// Values of a property are to be unique. Fails where they are not.
    AddUnique {
        /// Type.
        of: String,
        /// Field name.
        property: String,
    },
    /// Values of a property may repeat.
    DropUnique {
        /// Type.
        of: String,
        /// Field name.
        property: String,
    },
    /// An index is wanted.
    AddIndex {
        /// Type.
        of: String,
        /// Field name.
        property: String,
    },
    /// An index is no longer wanted.
    DropIndex {
        /// Type.
        of: String,
        /// Field name.
        property: String,
    },
    /// Texts that are there need vectors and a place in full-text search.
    Embed {
        /// Type.
        of: String,
        /// Field name.
        property: String,
    },
    /// Vectors and full text are no longer wanted.
    DropEmbedding {
        /// Type.
        of: String,
        /// Field name.
        property: String,
    },
    /// A relationship field walks relationships of another type or direction.
    Relink {
        /// Type.
        of: String,
        /// Field name.
        field: String,
        /// Like `-[HAS]->`.
        from: String,
        /// Like `<-[HELD_BY]-`.
        to: String,
    },
}

/// Who sees to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Care {
    /// Publishing does it.
    Publishing,
    /// Publishing refuses while there are records to which it would have to be done.
    Refused,
    /// Nobody: the data stays as it is until whoever publishes changes it.
    Yours,
}

impl Migration {
    /// Who sees to it.
    pub fn care(&self) -> Care {
        match self {
            Self::CreateTable { .. }
            | Self::Move { across: false, .. }
            | Self::AddColumn { .. }
            | Self::Fill { with: Some(_), .. }
            | Self::AddUnique { .. }
            | Self::DropUnique { .. }
            | Self::AddIndex { .. }
            | Self::DropIndex { .. }
            | Self::Embed { .. }
            | Self::DropEmbedding { .. } => Care::Publishing,
            Self::Move { across: true, .. }
            | Self::Rename { .. }
            | Self::Convert { .. }
            | Self::Fill { with: None, .. }
            | Self::Replace { .. } => Care::Refused,
            Self::Abandon { .. } | Self::Relink { .. } => Care::Yours,
        }
    }
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateTable { of, table } => write!(f, "create table {table} for {of}"),
            Self::Move { of, from, to, .. } => write!(f, "move the records of {of} from {from} to {to}"),
            Self::Abandon { of, from } => {
                write!(f, "remove the records of {of} in {from}, which nothing shows any more")
            }
            Self::AddColumn { of, column } => write!(f, "add column {column} to the table of {of}"),
            Self::Rename { of, property, from, to } => write!(f, "rename {from} to {to} for {of}.{property}"),
            Self::Convert { of, property, from, to } => write!(f, "convert {of}.{property} from {from} to {to}"),
            Self::Fill { of, property, with: Some(value) } => {
                write!(f, "give every {of} without {property} the default {value}")
            }
            Self::Fill { of, property, with: None } => write!(f, "give every {of} without {property} a value"),
            Self::Replace { of, value } => write!(f, "replace {value} wherever a value of {of} is stored"),
            Self::AddUnique { of, property } => write!(f, "make {of}.{property} unique; refused where values repeat"),
            Self::DropUnique { of, property } => write!(f, "let {of}.{property} repeat"),
            Self::AddIndex { of, property } => write!(f, "index {of}.{property}"),
            Self::DropIndex { of, property } => write!(f, "drop the index of {of}.{property}"),
            Self::Embed { of, property } => write!(f, "embed {of}.{property}, in the background"),
            Self::DropEmbedding { of, property } => write!(f, "drop the vectors of {of}.{property}, in the background"),
            Self::Relink { of, field, from, to } => write!(f, "make {of}.{field} {to} relationships where {from} are"),
        }
    }
}
