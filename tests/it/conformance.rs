//! The cases of `cases.rs` run over every provider: one line a provider. It asks for the provider's samples in `wire/` and
//! for its facts in `docs/providers/` as well.

use crate::cases;
use crate::support::Ctx;
use mbx::provider::ProviderId;

macro_rules! conformance {
    ($($name:ident = $id:ident => [$($case:ident),* $(,)?]);* $(;)?) => {
        $(mod $name {
            use super::*;
            #[expect(unused_imports, reason = "they only have to be there")]
            use crate::wire::$name as _samples;
            const _FACTS: &str = include_str!(concat!("../../docs/providers/", stringify!($name), ".md"));
            $(#[tokio::test]
            async fn $case() {
                cases::$case(Ctx::new(ProviderId::$id).await).await;
            })*
        })*
    };
}

macro_rules! all_cases {
    ($($name:ident = $id:ident),* $(,)?) => {
        /// Does not compile while a provider is missing below.
        const fn _is_complete(id: ProviderId) {
            match id {
                $(ProviderId::$id => (),)*
            }
        }
        conformance! { $($name = $id => [
            good_credentials_name_an_account,
            wrong_credentials_are_refused_as_such,
            every_cell_of_the_matrix_is_true,
            a_success_that_reports_an_error_confirms_nothing,
            an_unverified_operation_is_off_by_default,
            an_empty_domain_lists_nothing,
            a_domain_that_is_not_there_is_not_an_empty_one,
            an_alias_is_not_a_mailbox,
            a_created_mailbox_is_returned_listed_and_read,
            a_second_create_is_a_conflict,
            what_breaks_the_rules_is_refused_before_anything_is_sent,
            a_missing_mailbox_is_not_found,
            a_deleted_mailbox_is_gone_or_said_to_end,
            names_change_one_at_a_time,
            a_quota_is_set_on_creation_and_later,
            a_password_is_the_one_the_server_holds,
            an_administrator_is_made_and_unmade,
            a_mailbox_is_suspended_and_resumed,
            a_full_domain_is_a_limit,
            a_mailbox_on_an_unknown_domain_is_not_found,
            domains_are_listed_and_read,
            a_domain_is_created_verified_and_deleted,
            a_domain_is_suspended_and_resumed,
            dns_records_are_shown,
            an_alias_is_created_listed_and_deleted,
            a_catch_all_is_created_and_deleted,
            a_credential_is_created_listed_and_deleted,
            a_long_list_is_complete_and_without_doubles,
            odd_but_good_addresses_work,
            a_batch_says_what_became_of_each,
            a_cut_after_the_create_is_a_created_mailbox,
            a_cut_before_the_create_is_sent_again_or_unknown,
            an_older_mailbox_is_not_claimed_after_a_lost_answer,
            trouble_on_a_read_ends_with_the_documented_code,
            trouble_on_a_create_ends_with_the_documented_code,
            a_dry_run_sends_no_write,
            the_sandbox_takes_no_number_for_a_text,
            the_sandbox_hides_creation_times,
        ]);* }
    };
}

all_cases! {
    hybridbox = Hybridbox,
    emboux = Emboux,
    litemail = Litemail,
    qboxmail = Qboxmail,
    mailinabox = Mailinabox,
}
