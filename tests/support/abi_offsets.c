/* SPDX-License-Identifier: MIT */
/* Where each public member stood when ABI 1 was frozen: built against the headers of then, and against
 * those of now, it must print the same. */
#include <stdio.h>

#include <postern/auth.h>
#include <postern/policy.h>
#include <postern/storage.h>

#define AT(type, member)                                                                           \
	printf(#type "." #member " %zu %zu\n", offsetof(struct type, member),                      \
	       sizeof(((struct type *)0)->member));
#define VALUE(name) printf(#name " %ld\n", (long)(name));

int
main(void)
{
	VALUE(PST_ABI)
	VALUE(PST_AUTH)
	VALUE(PST_STORAGE)
	VALUE(PST_POLICY)
	VALUE(PST_LOG_ERROR)
	VALUE(PST_LOG_DEBUG) VALUE(PST_AUTH_OK) VALUE(
		PST_AUTH_UNKNOWN) VALUE(PST_AUTH_WRONG) VALUE(PST_AUTH_DISABLED) VALUE(PST_AUTH_TEMP) VALUE(PST_PASS) VALUE(PST_DELAY) VALUE(PST_REFUSE) VALUE(PST_E_TEMP) VALUE(PST_E_PERM) VALUE(PST_E_AUTH) VALUE(PST_E_IN_USE) VALUE(PST_E_CLIENT) VALUE(PST_E_LIMIT) VALUE(PST_E_CLOSED) VALUE(PST_CONF_T_INT) VALUE(PST_CONF_T_SECRET) AT(pst_str, p) AT(pst_str,
	                                                                                                                                                                                                                                                                                                                                                       n) AT(pst_err,
	                                                                                                                                                                                                                                                                                                                                                             kind) AT(pst_err,
	                                                                                                                                                                                                                                                                                                                                                                      text) AT(pst_conf_key,
	                                                                                                                                                                                                                                                                                                                                                                               key) AT(pst_conf_key, type) AT(pst_conf_key, offset) AT(pst_conf_key, def) AT(pst_conf_key, min) AT(pst_conf_key, max) AT(pst_conf_key, unit) AT(pst_conf_key, doc) AT(pst_host, size) AT(pst_host,
	                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         worker) AT(pst_host,
	                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                    conf) AT(pst_host,
	                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             log) AT(pst_host,
	                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     copy) AT(pst_host, alloc) AT(pst_host, random) AT(pst_host, sha256) AT(pst_host, equal) AT(pst_host, now_ms) AT(pst_host,
	                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     measure) AT(pst_plugin,
	                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                 abi)
		AT(pst_plugin, size) AT(pst_plugin, kind) AT(pst_plugin, name) AT(pst_plugin, keys) AT(pst_plugin, conf_size) AT(pst_plugin, check) AT(pst_plugin, start) AT(
			pst_plugin,
			stop) AT(pst_plugin,
	                         auth) AT(pst_plugin,
	                                  storage) AT(pst_plugin,
	                                              policy) AT(pst_auth_query,
	                                                         user) AT(pst_auth_query,
	                                                                  local_part) AT(pst_auth_query,
	                                                                                 domain) AT(pst_auth_query,
	                                                                                            remote_ip) AT(pst_auth_query,
	                                                                                                          local_ip) AT(pst_auth_query,
	                                                                                                                       sni)
			AT(pst_auth_query, mechanism) AT(pst_auth_query, tls) AT(pst_auth_record, arena) AT(pst_auth_record, user) AT(
				pst_auth_record,
				credential) AT(pst_auth_record,
	                                       location) AT(pst_auth_record,
	                                                    reason) AT(pst_auth_record, uid)
				AT(pst_auth_record, gid) AT(pst_auth_user, name) AT(
					pst_auth_user,
					credential) AT(pst_auth_user,
	                                               location) AT(pst_auth_user,
	                                                            reason) AT(pst_auth_user, uid)
					AT(pst_auth_user, gid) AT(pst_auth_user, enabled) AT(
						pst_auth,
						size) AT(pst_auth,
	                                                 lookup) AT(pst_auth,
	                                                            verify) AT(pst_auth,
	                                                                       user_add) AT(pst_auth,
	                                                                                    user_passwd)
						AT(pst_auth, user_enable) AT(pst_auth, user_delete) AT(
							pst_auth,
							user_list) AT(pst_auth,
	                                                              probe) AT(pst_auth, create)
							AT(pst_decision, delay_ms) AT(
								pst_decision,
								kind) AT(pst_decision,
	                                                                 text) AT(pst_connection,
	                                                                          remote_ip)
								AT(pst_connection, local_ip) AT(
									pst_connection,
									listener) AT(pst_connection,
	                                                                             tls) AT(pst_policy,
	                                                                                     size) AT(pst_policy,
	                                                                                              on_connect)
									AT(pst_policy, before_auth) AT(
										pst_policy,
										after_auth) AT(pst_storage,
	                                                                                       size)
										AT(pst_storage, open) AT(
											pst_storage,
											count) AT(pst_storage,
	                                                                                          message)
											AT(pst_storage,
	                                                                                   fetch) AT(pst_storage,
	                                                                                             commit)
												AT(pst_storage,
	                                                                                           close) return 0;
}
