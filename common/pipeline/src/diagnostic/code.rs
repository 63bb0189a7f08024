//! The stable codes of everything that can be said about a pipeline or its parameters.

/// Declares codes with their numbers, which are never given twice.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// What kind of thing a diagnostic says. Below 0200: errors; from 0201: warnings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Code::$name => $number,)*
                }
            }

            #[cfg(test)]
            pub(crate) const ALL: &'static [Code] = &[$(Code::$name,)*];
        }
    };
}

codes! {
    /// The text is no YAML.
    Syntax = "E0101",
    UnknownKey = "E0102",
    /// A key stands twice in one mapping.
    DuplicateKey = "E0103",
    /// A list where a mapping belongs, and so on.
    WrongType = "E0104",
    /// Nothing to read: an empty file, a section without steps.
    Empty = "E0105",
    SeveralDocuments = "E0106",
    /// Larger or deeper than a file may be.
    TooLarge = "E0107",
    /// An alias without its anchor, or inside it.
    Alias = "E0108",
    Tag = "E0109",
    /// A reference to a step that is not there.
    UnknownStep = "E0110",
    /// A step that needs itself, a terminal, or one step twice.
    Needs = "E0111",
    /// A step of two chains that can both run.
    TwoChains = "E0112",
    Cycle = "E0113",
    /// A name that no step may have.
    StepName = "E0114",
    /// A second success or fail, or one with keys of a step.
    Terminal = "E0115",
    StartAt = "E0116",
    /// A step with `needs` that is also reached by `next` or `on_failure`.
    NeedsAndNext = "E0117",
    /// Part of the language, but not of this version.
    NotBuilt = "E0118",
    /// A number that is none, or out of its range.
    Number = "E0119",
    Duration = "E0120",
    MissingKey = "E0122",
    Command = "E0123",
    /// Two keys that say the same thing.
    TwoKeys = "E0124",
    /// The file could not be read.
    File = "E0126",
    UnknownType = "E0127",
    /// A declaration of a parameter that says nothing sensible.
    Declaration = "E0130",
    /// A value that does not fit the declared type.
    ParameterType = "E0131",
    /// `-p` without a name or a value, or twice for one name.
    ParameterArgument = "E0132",
    /// Declared without a default, and not given.
    ParameterMissing = "E0133",
    /// A step that nothing reaches.
    Unreached = "E0201",
    /// A key beside `dag:` that looks like one of ours.
    BesideDag = "E0202",
    /// A parameter whose plain name tasks cannot see.
    HiddenParameter = "E0203",
    /// A value for a parameter that the pipeline does not declare.
    UndeclaredParameter = "E0204",
    /// A map over a parameter that is declared as something else than a list.
    NoList = "E0205",
    /// A key `x-…` among steps, which is none.
    Note = "E0206",
    /// A step that asks for more than the worker has.
    NeverFits = "E0217",
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
