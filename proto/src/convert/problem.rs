//! Problems as gRPC statuses: a standard code, our sentence, and the whole problem in the details.

use dagmar_common::problem::{Code, Problem};
use prost::Message;
use tonic::Status;

use crate::v1;

const PROBLEM_URL: &str = "type.googleapis.com/dagmar.v1.Problem";

/// `google.rpc.Status`, which is what clients in every language find error details in.
#[derive(Clone, PartialEq, Message)]
struct RichStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

pub fn to_status(problem: &Problem) -> Status {
    let code = grpc_code(problem.code);
    let message = v1::Problem {
        code: problem.code.number().into(),
        reason: problem.code.reason().to_owned(),
        message: problem.message.clone(),
        place: problem.place.clone(),
        details: problem.details.clone(),
        help: problem.help.clone(),
    };
    let detail =
        prost_types::Any { type_url: PROBLEM_URL.to_owned(), value: message.encode_to_vec() };
    let rich =
        RichStatus { code: code as i32, message: problem.message.clone(), details: vec![detail] };
    Status::with_details(code, problem.message.clone(), rich.encode_to_vec().into())
}

/// The problem that a status carries, or the status told as one.
pub fn from_status(status: &Status) -> Problem {
    let carried = RichStatus::decode(status.details()).ok().and_then(|rich| {
        let detail = rich.details.into_iter().find(|detail| detail.type_url == PROBLEM_URL)?;
        v1::Problem::decode(&*detail.value).ok()
    });
    let Some(message) = carried else {
        let code = match status.code() {
            tonic::Code::Unavailable | tonic::Code::Cancelled => Code::Unreachable,
            tonic::Code::PermissionDenied | tonic::Code::Unauthenticated => Code::Forbidden,
            tonic::Code::NotFound => Code::NotFound,
            tonic::Code::Unimplemented => Code::Newer,
            tonic::Code::InvalidArgument => Code::Usage,
            _ => Code::Internal,
        };
        return Problem::new(code, status.message());
    };
    let code = u16::try_from(message.code).ok().and_then(Code::from_number);
    Problem {
        code: code.unwrap_or(Code::Internal),
        message: message.message,
        place: message.place,
        details: message.details,
        help: message.help,
    }
}

fn grpc_code(code: Code) -> tonic::Code {
    match code {
        Code::NoPipelineFile
        | Code::Usage
        | Code::BadPipeline
        | Code::BadGraph
        | Code::BadRunId
        | Code::Ambiguous => tonic::Code::InvalidArgument,
        Code::RunIdTaken | Code::RequestReused => tonic::Code::AlreadyExists,
        Code::RunEnded | Code::Interrupted | Code::StillRunning => tonic::Code::FailedPrecondition,
        Code::Busy => tonic::Code::ResourceExhausted,
        Code::Forbidden => tonic::Code::PermissionDenied,
        Code::Unreachable => tonic::Code::Unavailable,
        Code::NotFound => tonic::Code::NotFound,
        Code::Damaged | Code::Storage => tonic::Code::DataLoss,
        Code::Newer => tonic::Code::Unimplemented,
        Code::Internal => tonic::Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_survives_the_wire() {
        for code in Code::ALL {
            let problem = Problem::new(code, "no run \"etl-20\"")
                .at("etl-20")
                .because("looked in .dagmar")
                .try_this("dagmar ls");
            assert_eq!(from_status(&to_status(&problem)), problem);
        }
    }

    #[test]
    fn a_status_of_somebody_else_is_a_problem_too() {
        let problem = from_status(&Status::unavailable("gone"));
        assert_eq!(problem, Problem::new(Code::Unreachable, "gone"));
    }
}
