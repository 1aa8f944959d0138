//! All laws, by name.

/// Makes a test of every law, for one way to open a fresh database.
macro_rules! conformance {
    ($open:path) => {
        $crate::db::conformance::conformance! { $open:
            a_new_database_is_empty_and_knows_who_it_is,
            a_user_reads_back_as_created,
            a_name_is_taken_once,
            an_update_changes_what_it_names_and_nothing_else,
            a_generation_is_never_used_again,
            a_newer_hash_of_the_same_password_ends_no_login,
            a_user_goes_with_its_volatile_indexes_and_their_content,
            a_user_with_a_non_volatile_index_stays_whole,
            an_index_reads_back_as_created_and_changed,
            of_two_changes_made_from_one_revision_the_second_is_told,
            an_index_needs_its_user,
            the_change_log_tells_who_did_what,
            a_file_reads_back_as_published,
            releases_are_listed_in_turn_and_say_what_was_sent,
            a_registered_project_is_held_without_files,
            metadata_is_laid_over_what_was_known,
            the_same_file_again_changes_nothing,
            holdings_follow_whatever_comes_and_goes,
            what_came_last_comes_first,
            other_content_is_refused_and_nothing_of_the_push_stays,
            a_push_adds_what_is_missing,
            an_overwritten_file_is_gone_and_its_successor_says_so,
            a_file_that_moves_to_another_version_leaves_no_empty_release,
            spellings_of_one_version_are_one_release,
            a_test_result_needs_its_release_file,
            the_last_file_takes_its_release_and_that_the_project,
            the_last_release_takes_the_project,
            a_deleted_project_leaves_other_indexes_and_projects_alone,
            a_file_uploaded_again_was_not_deleted,
            every_byte_a_record_needs_is_referenced,
            uploads_of_one_name_at_the_same_time_have_one_winner,
            what_is_restored_reads_back_and_once_is_enough,
            one_differing_file_keeps_everything_out,
            a_rehearsal_tells_and_changes_nothing,
            what_is_there_stays_and_is_named,
            an_index_is_not_restored_without_its_user,
            a_token_reads_back_as_kept,
            a_token_needs_its_user_and_goes_with_it,
            a_withdrawn_token_is_gone,
            the_latest_use_of_a_token_is_kept,
            a_recall_reads_back_as_made,
            the_same_is_recalled_once,
            a_withdrawn_recall_is_gone_and_its_number_not_used_again,
            what_changed_leads_from_what_was_to_what_is,
            a_project_that_did_not_change_is_not_read_again,
            what_may_have_changed_every_project_has_all_read_again,
            after_many_changes_all_is_read_again,
            a_file_and_a_release_are_found_by_their_names,
        }
    };
    ($open:path: $($law:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $law() {
                let (_guard, db) = $open().await;
                $crate::db::conformance::$law(&db).await;
            }
        )+
    };
}
pub(in crate::db) use conformance;
